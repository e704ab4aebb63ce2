"""Intervals: how far a number from samples can be trusted.

Scalars go in and come out; `clopper_pearson_lower` and `clopper_pearson_upper` also take tensors
of counts. SciPy is loaded at the first call.
"""

from __future__ import annotations

from math import inf, isfinite, nan, sqrt
from typing import overload

import torch
from torch import Tensor


def _checked(n: int, alpha: float) -> None:
    if n < 0 or not 0 < alpha < 1:
        raise ValueError(f"interval: needs n >= 0 and alpha in (0, 1), got n={n}, alpha={alpha}")


def _beta_quantile(share: float, a: Tensor, b: Tensor) -> Tensor:
    from scipy.special import betaincinv

    found = betaincinv(a.double().cpu().numpy(), b.double().cpu().numpy(), share)
    return torch.as_tensor(found, dtype=torch.float64)


@overload
def clopper_pearson_lower(k: int, n: int, alpha: float = 0.05) -> float: ...
@overload
def clopper_pearson_lower(k: Tensor, n: int, alpha: float = 0.05) -> Tensor: ...
def clopper_pearson_lower(k: int | Tensor, n: int, alpha: float = 0.05) -> float | Tensor:
    """One-sided lower bound of a binomial share that is wrong with probability at most alpha.

    It is the largest p for which seeing k or more successes still has probability <= alpha, so
    its coverage holds for every n and every true share.

    Args:
        k: successes, one number or a tensor of them.
        n: trials.
        alpha: probability of error.

    Returns:
        The bound (float64 tensor for tensors); 0 for k = 0.

    Raises:
        ValueError: for a negative n, alpha outside (0, 1) or k outside [0, n].
    """
    _checked(n, alpha)
    counts = torch.as_tensor(k)
    if bool(((counts < 0) | (counts > n)).any()):
        raise ValueError(f"interval: successes must lie in [0, {n}], got {k}")
    found = _beta_quantile(alpha, counts.clamp(min=1), n - counts + 1)
    found = torch.where(counts.cpu() > 0, found, 0.0)
    return found.to(counts.device) if isinstance(k, Tensor) else float(found)


@overload
def clopper_pearson_upper(k: int, n: int, alpha: float = 0.05) -> float: ...
@overload
def clopper_pearson_upper(k: Tensor, n: int, alpha: float = 0.05) -> Tensor: ...
def clopper_pearson_upper(k: int | Tensor, n: int, alpha: float = 0.05) -> float | Tensor:
    """One-sided upper bound of a binomial share: one minus the lower bound of the failures."""
    return 1 - clopper_pearson_lower(n - k, n, alpha)


def clopper_pearson(k: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Exact two-sided interval of a binomial share; covers with probability >= 1 - alpha.

    Args:
        k: successes.
        n: trials; with none the interval is (0, 1).
        alpha: probability of error, split evenly between both sides.

    Returns:
        Lower and upper end.
    """
    _checked(n, alpha)
    if n == 0:
        return 0.0, 1.0
    return clopper_pearson_lower(k, n, alpha / 2), clopper_pearson_upper(k, n, alpha / 2)


def wilson(k: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval of a binomial share: shorter, covers 1 - alpha on average only.

    Args:
        k: successes.
        n: trials; with none the interval is (0, 1).
        alpha: probability of error.

    Returns:
        Lower and upper end.
    """
    from scipy.special import ndtri

    _checked(n, alpha)
    if n == 0:
        return 0.0, 1.0
    z = float(ndtri(1 - alpha / 2))
    share, extra = k / n, z * z / n
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * sqrt(share * (1 - share) / n + extra / (4 * n))
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def bootstrap_mean(
    values: Tensor, seed: int = 0, alpha: float = 0.05, *, draws: int = 2000
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean.

    Rows are drawn with replacement by a private generator, so the same values and seed give the
    same interval and the global random state is untouched.

    Args:
        values: `(n,)` one number per row; non-finite ones make the interval NaN.
        seed: of the resampling.
        alpha: probability of error.
        draws: number of resamples.

    Returns:
        Lower and upper end; NaN for no values; the value itself twice for a single one.
    """
    _checked(len(values), alpha)
    rows = values.detach().double().cpu().flatten()
    if len(rows) == 0 or not bool(rows.isfinite().all()):
        return nan, nan
    generator = torch.Generator().manual_seed(seed)
    size = max(1, 2**20 // len(rows))
    means = torch.cat(
        [
            rows[
                torch.randint(len(rows), (min(size, draws - i), len(rows)), generator=generator)
            ].mean(1)
            for i in range(0, draws, size)
        ]
    )
    ends = torch.quantile(means, torch.tensor([alpha / 2, 1 - alpha / 2], dtype=torch.float64))
    return float(ends[0]), float(ends[1])


def quantile_interval(values: Tensor, share: float, alpha: float = 0.05) -> tuple[float, float]:
    """Distribution-free interval of a quantile from order statistics.

    The number of values below the true quantile is binomial; two of its quantiles pick the order
    statistics, so the coverage is at least 1 - alpha for every continuous distribution.

    Args:
        values: `(n,)` independent samples.
        share: which quantile, in (0, 1).
        alpha: probability of error, split evenly between both sides.

    Returns:
        Lower and upper end; infinite where n is too small to bound that side.
    """
    n = len(values)
    _checked(n, alpha)
    if not 0 < share < 1:
        raise ValueError(f"quantile_interval: share must lie in (0, 1), got {share}")
    ranked = values.detach().double().cpu().flatten().sort().values
    # x_(l) <= q fails with P(count < l) = cdf(l - 1) <= alpha / 2; q <= x_(u) with cdf(u - 1).
    low = binomial_quantile(alpha / 2, n, share) if n else 0
    high = binomial_quantile(1 - alpha / 2, n, share) + 1 if n else 1
    return (
        float(ranked[low - 1]) if low >= 1 else -inf,
        float(ranked[high - 1]) if high <= n else inf,
    )


def binomial_quantile(level: float, n: int, share: float) -> int:
    """The least count that a binomial variable stays at or below with a probability.

    scipy's special functions do it: its distributions are half a second of import.

    Args:
        level: the probability, in (0, 1).
        n: trials.
        share: chance of a success in each, in (0, 1).
    """
    from scipy.special import bdtr, bdtrik

    guess = float(bdtrik(level, n, share))
    count = min(max(int(guess), 0), n) if isfinite(guess) else 0
    while count and bdtr(count - 1, n, share) >= level:
        count -= 1
    while count < n and bdtr(count, n, share) < level:
        count += 1
    return count
