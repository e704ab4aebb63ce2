"""Confidence against accuracy in bins: the sums behind every binned calibration error."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Norm = Literal["l1", "l2", "max"]


def equal_width(confidence: Tensor, bins: int) -> Tensor:
    """Bin of each number: ((m - 1) / M, m / M], with 0 in the first bin.

    Args:
        confidence: numbers in [0, 1], of any shape.
        bins: how many, M.

    Returns:
        int64 of the same shape, from 0 to M - 1.
    """
    return ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)


def equal_mass(confidence: Tensor, bins: int) -> Tensor:
    """Bin of each number: groups of almost equal size by rising confidence, per column.

    Numbers that are equal share a bin, that of their middle: how rows are ordered says nothing.
    Numbers below zero are left out of the count and land in the first bin.

    Args:
        confidence: `(N,)`, or `(N, C)` with one binning per column.
        bins: number of bins.
    """
    columns = confidence.transpose(0, -1).contiguous()
    ordered = columns.sort(-1).values
    below = torch.searchsorted(ordered, columns, side="left")
    upto = torch.searchsorted(ordered, columns, side="right")
    absent = (columns < 0).sum(-1, keepdim=True)
    middle = ((below + upto) // 2 - absent).clamp(min=0)
    count = (columns.shape[-1] - absent).clamp(min=1)
    return (middle * bins // count).transpose(0, -1)


class Tally(NamedTuple):
    """Sums of each bin, `(C, M)`: of confidences, of right answers, and of rows.

    Args:
        sure: sum of the confidences.
        right: how many answers were right.
        rows: how many rows there were.
    """

    sure: Tensor
    right: Tensor
    rows: Tensor


def tally(confidence: Tensor, hit: Tensor, bin_of: Tensor, bins: int) -> Tally:
    """Sums by column and bin; numbers below zero do not count.

    Args:
        confidence: `(N, C)`.
        hit: `(N, C)` 1 where the answer that the confidence speaks of is right, else 0.
        bin_of: `(N, C)` bins of the confidences.
        bins: number of bins.
    """
    columns = confidence.shape[1]
    place = (bin_of + bins * torch.arange(columns, device=bin_of.device)).flatten()
    kept = (confidence >= 0).to(confidence.dtype)

    def summed(values: Tensor) -> Tensor:
        zero = confidence.new_zeros(columns * bins)
        return zero.index_add(0, place, (values * kept).flatten()).view(columns, bins)

    return Tally(summed(confidence), summed(hit), summed(kept))


def error(found: Tally, norm: Norm = "l1", debias: bool = False) -> float:
    """The calibration error of each column, averaged over the columns that have rows.

    Bins count with their share of the rows (`l1`: mean gap, `l2`: root of the mean squared gap);
    `max` takes the largest gap. The squared gap of a bin of n rows is expected to be too large
    by the variance of its accuracy, a (1 - a) / (n - 1); `debias` takes that off (`l2` only).
    """
    n = found.rows.clamp(min=1)
    accuracy = found.right / n
    gap = ((found.sure - found.right) / n).abs()
    every = found.rows.sum(1, keepdim=True)
    share = found.rows / every.clamp(min=1)
    if norm == "max":
        each = gap.amax(1)
    elif norm == "l1":
        each = (share * gap).sum(1)
    else:
        noise = accuracy * (1 - accuracy) / (n - 1).clamp(min=1) if debias else 0.0
        each = (share * (gap.square() - noise)).sum(1).clamp(min=0).sqrt()
    return float(each[every.squeeze(1) > 0].mean())


def monotone_bins(confidence: Tensor, hit: Tensor) -> int:
    """The largest number of equal-mass bins up to which accuracies rise with confidence.

    More bins would resolve noise: true accuracy is taken to rise with confidence.

    Args:
        confidence: `(N,)`.
        hit: `(N,)` 1 where right, else 0.
    """
    for bins in range(2, len(confidence) + 1):
        found = tally(
            confidence[:, None], hit[:, None], equal_mass(confidence, bins)[:, None], bins
        )
        full = found.rows[0] > 0
        accuracy = found.right[0][full] / found.rows[0][full]
        if bool((accuracy.diff() < 0).any()):
            return bins - 1
    return max(len(confidence), 1)
