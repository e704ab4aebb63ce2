"""Predictions with a scale of their own error, and how several of them are merged."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Merged(NamedTuple):
    """What several predictions say together.

    Args:
        mean: as one of the predictions.
        scale: of its error: that of the members and what they differ by.
        share: `(K, ...)` weight of each member.
    """

    mean: Tensor
    scale: Tensor
    share: Tensor


def laplace_loss(mean: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """`|y - m| / b + log 2b`: the negative log-likelihood under a Laplace distribution.

    Its minimum over b is the mean absolute error. To learn b alone on distorted inputs, where it
    is overconfident, hand in the mean detached.

    Args:
        mean: predictions.
        log_scale: logarithm of b, of the same shape.
        target: truth.
    """
    return (target - mean).abs() * (-log_scale).exp() + log_scale + math.log(2)


def by_inverse_variance(means: Tensor, scales: Tensor) -> Merged:
    """Members weighted by `b^-2`: the surer one counts more, and alone as its b goes to 0.

    Args:
        means: `(K, ...)` predictions.
        scales: `(K, ...)` b of each, positive.
    """
    share = (-2 * scales.log()).softmax(0)
    mean = (share * means).sum(0)
    spread = (share * (scales.square() + (means - mean).square())).sum(0)
    return Merged(mean, spread.sqrt(), share)


def entropy_shares(logits: Tensor) -> Tensor:
    """`(K, B)`: weights of the members' answers, inverse to the square of their entropies.

    Args:
        logits: `(K, B, C)`.
    """
    logp = logits.log_softmax(-1)
    entropy = -(logp.exp() * logp).sum(-1)
    least = torch.finfo(entropy.dtype).eps
    return (-2 * entropy.clamp(min=least).log()).softmax(0)
