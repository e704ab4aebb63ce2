"""Whether confidence can be believed: gaps between confidence and accuracy, bin by bin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs
from holdfast.core.records import Cell, Reading
from holdfast.measures.outputs.labelled import Labelled, labelled


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence against accuracy, bin by bin, and the calibration error.

    Args:
        confidence: mean confidence of each bin that has rows.
        accuracy: share of right answers of each of these bins.
        count: rows of each of these bins.
        error: the expected calibration error with its interval.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]
    error: Reading

    def readings(self) -> tuple[Reading, ...]:
        """The calibration error."""
        return (self.error,)

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `reliability`."""
        bins = zip(self.confidence, self.accuracy, self.count, strict=True)
        return tuple({"confidence": c, "accuracy": a, "count": n} for c, a, n in bins)


def equal_width(confidence: Tensor, bins: int) -> Tensor:
    """`(N,)` bin of each row: ((m - 1) / M, m / M], with 0 in the first bin."""
    return ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)


def equal_mass(confidence: Tensor, bins: int) -> Tensor:
    """`(N,)` bin of each row: groups of almost equal size by rising confidence.

    Rows of equal confidence share a bin, that of their middle: how rows are ordered says nothing.
    """
    _, group, count = confidence.unique(return_inverse=True, return_counts=True)
    middle = count.cumsum(0) - (count + 1) // 2
    found: Tensor = middle[group] * bins // max(len(confidence), 1)
    return found


def _sums(confidence: Tensor, hit: Tensor, bin_of: Tensor, bins: int) -> tuple[Tensor, ...]:
    zero = confidence.new_zeros(bins)
    return (
        zero.index_add(0, bin_of, confidence),
        zero.index_add(0, bin_of, hit),
        zero.index_add(0, bin_of, torch.ones_like(hit)),
    )


def _error(confidence: Tensor, hit: Tensor, bin_of: Tensor, bins: int) -> float:
    sure, right, _ = _sums(confidence, hit, bin_of, bins)
    return float((sure - right).abs().sum() / len(hit))


def _reliability(
    rows: Labelled,
    bins: int,
    binning: Callable[[Tensor, int], Tensor],
    draws: int,
    alpha: float,
    seed: int,
    name: str,
) -> Reliability:
    """Bins, error, and its basic bootstrap interval.

    The plain error is biased upwards by noise in each bin, and a resample repeats that bias.
    The basic interval, 2 e - quantile, subtracts it.
    """
    if bins < 1 or draws < 1:
        raise ConfigError(f"{name}: bins and draws must be at least 1, got {bins} and {draws}")
    kept = rows.kept()
    n = len(kept.y)
    if n == 0:
        nothing = Reading(
            name=name, value=float("nan"), low=0.0, high=1.0, n=0, better="lower", flags=rows.flags
        )
        return Reliability((), (), (), nothing)
    confidence, answer = kept.z.softmax(1).max(1)
    hit = (answer == kept.y).double()
    bin_of = binning(confidence, bins)
    error = _error(confidence, hit, bin_of, bins)
    generator = Dice.of(0, seed).generator(name)
    again = torch.empty(draws, dtype=torch.float64)
    for i in range(draws):
        pick = torch.randint(n, (n,), generator=generator).to(hit.device)
        sure, right = confidence[pick], hit[pick]
        again[i] = _error(sure, right, binning(sure, bins), bins)
    ends = again.quantile(torch.tensor([alpha / 2, 1 - alpha / 2], dtype=torch.float64)).tolist()
    reading = Reading(
        name=name, value=error, low=max(0.0, min(error, 2 * error - ends[1])),
        high=min(1.0, max(error, 2 * error - ends[0])), n=n, better="lower", seed=seed,
        flags=rows.flags,
    )  # fmt: skip
    sure, right, count = _sums(confidence, hit, bin_of, bins)
    full = count > 0
    mean = (sure[full] / count[full]).tolist(), (right[full] / count[full]).tolist()
    return Reliability(tuple(mean[0]), tuple(mean[1]), tuple(count[full].long().tolist()), reading)


@register("measure", cites="calibration-baseline")
def ece(
    outputs: Outputs,
    y: Tensor,
    *,
    bins: int = 15,
    draws: int = 200,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "calibration.ece",
) -> Reliability:
    """Expected calibration error: mean gap between confidence and accuracy in equal-width bins.

    Bins are closed on the right; each counts with its share of the rows and its own mean
    confidence. With one bin it is the gap between mean confidence and accuracy.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        bins: number of bins.
        draws: bootstrap resamples.
        alpha: the interval aims at a coverage of 1 - alpha.
        seed: of the resamples.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
        ConfigError: for less than one bin or draw.
    """
    return _reliability(labelled(outputs, y), bins, equal_width, draws, alpha, seed, name)


@register("measure", cites="calibration-baseline")
def adaptive_ece(
    outputs: Outputs,
    y: Tensor,
    *,
    bins: int = 15,
    draws: int = 200,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "calibration.adaptive-ece",
) -> Reliability:
    """Expected calibration error over bins with equally many rows.

    Equal mass resolves the crowded end of the confidences, where equal width puts nearly all
    rows of a good classifier into one bin.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        bins: number of bins.
        draws: bootstrap resamples.
        alpha: the interval aims at a coverage of 1 - alpha.
        seed: of the resamples.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
        ConfigError: for less than one bin or draw.
    """
    return _reliability(labelled(outputs, y), bins, equal_mass, draws, alpha, seed, name)
