"""Numbers that depend on order alone: AUROC with its interval, rank correlation."""

from __future__ import annotations

from math import ceil, erfc, sqrt

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """`(..., d)` ranks 1..d along the last axis; equal values share their mean rank."""
    ordered = values.sort(-1).values.contiguous()
    below = torch.searchsorted(ordered, values.contiguous(), side="left")
    upto = torch.searchsorted(ordered, values.contiguous(), side="right")
    return (below + upto + 1).double() / 2


def auroc(low: Tensor, high: Tensor) -> float:
    """Chance that a draw from `high` exceeds one from `low`; ties count half (Mann-Whitney).

    Args:
        low: `(n,)` scores that should be small.
        high: `(m,)` scores that should be large.
    """
    ordered, b = low.double().sort().values, high.double().contiguous()
    below = torch.searchsorted(ordered, b, side="left")
    upto = torch.searchsorted(ordered, b, side="right")
    return float((below + upto).double().mean() / (2 * max(len(low), 1)))


def _placements(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the other sample above each `low`, and below each `high`; ties count half."""
    a, b = low.double(), high.double()
    everything = ranks(torch.cat([a, b]))
    of_low = 1 - (everything[: len(a)] - ranks(a)) / max(len(b), 1)
    of_high = (everything[len(a) :] - ranks(b)) / max(len(a), 1)
    return of_low, of_high


def auroc_interval(low: Tensor, high: Tensor, alpha: float = 0.05) -> tuple[float, float]:
    """DeLong's interval: the AUROC is a two-sample U-statistic, so its variance is known.

    At an observed AUROC of 0 or 1 the variance estimate is zero; the interval then ends at the
    value that leaves probability alpha to see no wrong pair in min(n, m) independent ones.
    """
    of_low, of_high = _placements(low, high)
    value = float(of_high.mean())
    least = min(len(low), len(high))
    if value in (0.0, 1.0):
        room = 1 - alpha ** (1 / max(least, 1))
        return max(0.0, value - room), min(1.0, value + room)
    variance = of_low.var().item() / len(low) + of_high.var().item() / len(high)
    half = _z(alpha) * sqrt(max(variance, 0.0))
    return max(0.0, value - half), min(1.0, value + half)


def _z(alpha: float) -> float:
    """Two-sided standard normal quantile, by bisection of the complementary error function."""
    low, high = 0.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if erfc(middle / sqrt(2)) > alpha else (low, middle)
    return high


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """`(B,)` Spearman correlation of each row of `a` `(B, d)` with that of `b`; 0 if constant."""
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(-1, keepdim=True), y - y.mean(-1, keepdim=True)
    scale = x.norm(dim=-1) * y.norm(dim=-1)
    return torch.where(scale > 0, (x * y).sum(-1) / scale.clamp(min=1e-300), 0.0)


def tied_means(keys: Tensor, values: Tensor) -> Tensor:
    """`(n,)` values, each replaced by the mean over the rows whose key is the same."""
    _, group, count = keys.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(len(count), dtype=values.dtype, device=values.device)
    found: Tensor = (total.index_add(0, group, values) / count.to(values.dtype))[group]
    return found


def average_precision(low: Tensor, high: Tensor) -> float:
    """Area under precision against recall, `high` being what is sought (a step function).

    Precision and recall are read at each different score, from the largest down, so rows of
    equal score come together. A score that says nothing gives the share of `high`.

    Args:
        low: `(n,)` scores that should be small.
        high: `(m,)` scores that should be large.
    """
    scores = torch.cat([low, high]).double()
    hit = torch.cat([torch.zeros(len(low)), torch.ones(len(high))]).double().to(scores.device)
    levels, group = scores.unique(return_inverse=True)
    zero = torch.zeros(len(levels), dtype=torch.float64, device=scores.device)
    found = zero.index_add(0, group, hit).flip(0)
    seen = zero.index_add(0, group, torch.ones_like(hit)).flip(0)
    precision = found.cumsum(0) / seen.cumsum(0)
    return float((precision * found).sum() / max(len(high), 1))


def false_share(low: Tensor, high: Tensor, kept: float = 0.95) -> float:
    """Share of `low` at or above the level that keeps the share `kept` of `high` (FPR95).

    The level is the largest score such that at least that share of `high` reaches it.

    Args:
        low: `(n,)` scores that should be small.
        high: `(m,)` scores that should be large; at least one.
        kept: share of `high` that must reach the level, in (0, 1].
    """
    # Rounding must not ask for one row more than the share: 0.95 of 20 rows is 19.
    place = max(0, ceil(kept * len(high) - 1e-9) - 1)
    level = high.sort(descending=True).values[place]
    return float((low >= level).double().mean())


def detection_error(low: Tensor, high: Tensor) -> float:
    """Least mean of the two kinds of error over all levels: half (1 - true + false share)."""
    levels = torch.cat([low, high]).unique()
    false = 1 - torch.searchsorted(low.sort().values, levels, side="left").double() / len(low)
    true = 1 - torch.searchsorted(high.sort().values, levels, side="left").double() / len(high)
    return float(torch.cat([0.5 * (1 - true + false), torch.tensor([0.5]).to(true)]).min())
