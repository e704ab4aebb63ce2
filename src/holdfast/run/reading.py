"""Readings from counts and samples: the number, its interval and everything it must carry."""

from __future__ import annotations

from math import inf, nan

from torch import Tensor

from holdfast.core.records import Better, Bound, Reading
from holdfast.ops.statistics import bootstrap_mean, clopper_pearson, quantile_interval


def proportion(
    name: str,
    count: int,
    n: int,
    *,
    bound: Bound = "estimate",
    better: Better = "higher",
    threat: str = "",
    seed: int = 0,
    alpha: float = 0.05,
    flags: tuple[str, ...] = (),
) -> Reading:
    """A share of rows with its Clopper-Pearson interval.

    Args:
        name: dotted identity of the reading.
        count: rows that have the property.
        n: rows looked at; with none the value is NaN and the interval [0, 1].
        bound: kind of bound.
        better: direction in which the model gets better.
        threat: the threat in the common grammar.
        seed: of all draws behind it.
        alpha: the interval has coverage 1 - alpha.
        flags: reasons to trust it less.
    """
    low, high = clopper_pearson(count, n, alpha) if n else (0.0, 1.0)
    value = count / n if n else float("nan")
    return Reading(
        name=name,
        value=value,
        low=float(low),
        high=float(high),
        n=n,
        bound=bound,
        better=better,
        threat=threat,
        seed=seed,
        flags=flags,
    )


def average(
    name: str,
    values: Tensor,
    *,
    bound: Bound = "estimate",
    better: Better = "higher",
    unit: str = "share",
    threat: str = "",
    seed: int = 0,
    alpha: float = 0.05,
    flags: tuple[str, ...] = (),
) -> Reading:
    """The mean of one number per row with its bootstrap interval.

    Args:
        name: dotted identity of the reading.
        values: `(B,)`, finite.
        bound: kind of bound.
        better: direction in which the model gets better.
        unit: of the values.
        threat: the threat in the common grammar.
        seed: of all draws behind it, those of the bootstrap included.
        alpha: the interval has coverage 1 - alpha.
        flags: reasons to trust it less.
    """
    flat = values.detach().double().cpu()
    low, high = bootstrap_mean(flat, seed=seed, alpha=alpha)
    return Reading(
        name=name,
        value=float(flat.mean()),
        low=float(low),
        high=float(high),
        n=len(flat),
        bound=bound,
        better=better,
        unit=unit,
        threat=threat,
        seed=seed,
        flags=flags,
    )


def quantile(
    name: str,
    values: Tensor,
    level: float,
    *,
    value: float | None = None,
    most: float = inf,
    bound: Bound = "estimate",
    better: Better = "lower",
    unit: str = "share",
    seed: int = 0,
    alpha: float = 0.05,
) -> Reading:
    """A quantile of one number >= 0 per row, with the interval that order statistics give it.

    Args:
        name: dotted identity of the reading.
        values: `(B,)`, finite and >= 0.
        level: which quantile, in (0, 1).
        value: of the quantile; interpolated between the values unless given, NaN for no rows.
        most: no quantile can be larger.
        bound: kind of bound.
        better: direction in which the model gets better.
        unit: of the values.
        seed: of all draws behind it.
        alpha: the interval covers with probability at least 1 - alpha.
    """
    if value is None:
        value = float(values.quantile(level)) if len(values) else nan
    low, high = quantile_interval(values, level, alpha)
    return Reading(
        name=name,
        value=value,
        low=min(max(low, 0.0), value),
        high=min(max(high, value), most),
        n=len(values),
        bound=bound,
        better=better,
        unit=unit,
        seed=seed,
    )


def middle_and_tail(
    name: str, values: Tensor, *, bound: Bound, unit: str, seed: int, alpha: float
) -> tuple[Reading, Reading]:
    """Median and 90th percentile of one number >= 0 per row, as `.median` and `.q90`; see above."""
    middle, tail = (
        quantile(f"{name}.{word}", values, level, bound=bound, unit=unit, seed=seed, alpha=alpha)
        for word, level in (("median", 0.5), ("q90", 0.9))
    )
    return middle, tail
