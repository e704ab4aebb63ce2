"""The rank of split conformal prediction: which calibration score is the threshold, and its law."""

from __future__ import annotations

from math import ceil, inf

import torch
from torch import Tensor


def conformal_rank(n: int, alpha: float) -> int:
    """Which of n sorted calibration scores is the threshold: `ceil((n + 1)(1 - alpha))`.

    A new score that is exchangeable with n others is equally likely to take each of the n + 1
    ranks among them, so it lies above the k-th smallest with probability at most
    `1 - k / (n + 1) <= alpha`, with equality in the first if there are no ties.

    Args:
        n: calibration scores.
        alpha: admissible rate of errors, in (0, 1).

    Returns:
        The rank, from 1; n + 1 if no score is large enough.

    Raises:
        ValueError: for a negative n or alpha outside (0, 1).
    """
    if n < 0 or not 0 < alpha < 1:
        raise ValueError(f"conformal: needs n >= 0 and alpha in (0, 1), got n={n}, alpha={alpha}")
    # The product may exceed a whole number by rounding alone; it is not rounded down further
    # than rounding can have carried it.
    return min(n + 1, ceil((n + 1) * (1 - alpha) - 1e-12 * (n + 1)))


def conformal_threshold(scores: Tensor, alpha: float) -> float:
    """The calibration score at the conformal rank; infinite if there are too few.

    It is never a value between two scores: an interpolated quantile of n scores covers less than
    was asked. Scores that are not numbers count as infinitely strange.

    Args:
        scores: `(n,)`, larger means stranger.
        alpha: admissible rate of errors, in (0, 1).
    """
    k = conformal_rank(len(scores), alpha)
    if k > len(scores):
        return inf
    known = torch.where(scores.isnan(), torch.inf, scores.double())
    return float(known.sort().values[k - 1])


def coverage_range(n: int, alpha: float, mass: float = 0.9) -> tuple[float, float]:
    """Where the coverage lies once the calibration scores are drawn, with probability `mass`.

    For continuous scores the coverage given the calibration set is Beta(k, n + 1 - k).

    Args:
        n: calibration scores.
        alpha: admissible rate of errors.
        mass: probability of the range; both tails have the same.

    Returns:
        Lower and upper end; (1, 1) if the sets are always full.
    """
    from scipy.special import betaincinv

    k = conformal_rank(n, alpha)
    if k > n:
        return 1.0, 1.0
    low, high = (float(betaincinv(k, n + 1 - k, t)) for t in ((1 - mass) / 2, (1 + mass) / 2))
    return low, high


def soft_quantile(values: Tensor, share: float) -> Tensor:
    """A quantile through which every value gets a gradient (Harrell and Davis).

    The order statistics are weighed by how likely each of them is to be the quantile of a sample
    of this size: the mass of Beta((n + 1) share, (n + 1)(1 - share)) on its n-th part of [0, 1].

    Args:
        values: `(n,)`, n > 0.
        share: which quantile, in (0, 1).
    """
    from scipy.special import betainc

    n = len(values)
    ends = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    mass = betainc((n + 1) * share, (n + 1) * (1 - share), ends.numpy())
    weights = torch.as_tensor(mass, dtype=torch.float64).diff()
    found: Tensor = (values.sort().values * weights.to(values)).sum()
    return found
