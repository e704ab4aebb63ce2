"""Readings from counts and samples: the number, its interval and everything it must carry."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.records import Better, Bound, Reading
from holdfast.ops.statistics import bootstrap_mean, clopper_pearson


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
