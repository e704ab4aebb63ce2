"""Questions asked of a column and its reference: numbers, values, gaps and ranges, all exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import torch

from holdfast.core.records import Reading
from holdfast.measures.data.columns import Array, Known, blank, coded, parsed
from holdfast.measures.data.two_sample_tests import kolmogorov_smirnov
from holdfast.ops.statistics import clopper_pearson, wilson

CERTAIN = 0.95


@dataclass(frozen=True)
class Asked:
    """One question asked of a column.

    Args:
        column: its name.
        what: `distribution`, `values`, `missing`, `outside` or `texts`.
        p: chance of a statistic at least as large if nothing has changed, exact or too large.
        reading: the statistic.
        says: what was seen, in words.
    """

    column: str
    what: str
    p: float
    reading: Reading
    says: str


def hypergeometric(k: int, n: int, old: int, m: int) -> float:
    """Chance that k of n rows are marked, or a count as rare, if old of the m others are.

    Twice the smaller tail of Fisher's exact test. Property: valid for any counts.

    Args:
        k: marked rows of the window.
        n: its rows.
        old: marked rows of the reference.
        m: its rows.
    """
    from scipy.stats import hypergeom

    if not n or not m:
        return 1.0
    marked, every = k + old, n + m
    above = float(hypergeom.sf(k - 1, every, marked, n))
    below = float(hypergeom.sf(n - k - 1, every, every - marked, n))
    return min(1.0, 2 * min(above, below))


def beyond(k: int, n: int, m: int) -> float:
    """Chance that the k largest of n + m exchangeable numbers all stand among the n."""
    from scipy.special import gammaln

    if not k:
        return 1.0
    logs = gammaln(n + 1) - gammaln(n - k + 1) - gammaln(n + m + 1) + gammaln(n + m - k + 1)
    return float(np.exp(logs))


def asked(column: Array, before: Known, *, seed: int = 0) -> Iterator[Asked]:
    """All questions about one column of a window that has a row at least.

    Numbers: Kolmogorov and Smirnov; how many lie outside the range of the reference. Values: the
    count of each, with a correction for their number. Every column: how many rows have no value,
    or a text in place of a number. Property: each p-value is valid at any number of rows when
    those of the window and of the reference are exchangeable (ties make it larger), but for that
    of Kolmogorov and Smirnov above 10,000 rows, which is its limit.

    Args:
        column: of the window.
        before: the same column of the reference.
        seed: of the readings.
    """
    n, gaps = len(column), int(blank(column).sum())
    if gaps or before.missing:
        yield _share(before.name, "missing", gaps, n, before.missing, before.n, seed,
                     "no value in {now} of the rows, {was} before")  # fmt: skip
    if before.kind == "values":
        yield from _values(coded(column, before), before, seed)
    if before.kind != "number":
        return
    numbers, texts = parsed(column)
    if texts.any():
        yield _share(before.name, "texts", int(texts.sum()), n, 0, before.n, seed,
                     "texts in place of numbers in {now} of the rows, {was} before")  # fmt: skip
    there = numbers[~np.isnan(numbers)]
    if len(there) and len(before.there):
        yield _distribution(there, before, seed)
        yield _outside(there, before, seed)


def _share(
    column: str, what: str, k: int, n: int, old: int, m: int, seed: int, says: str
) -> Asked:  # fmt: skip
    now, was = k / n, old / m if m else float("nan")
    (a, b), (c, d) = wilson(k, n), wilson(old, m)
    gap = now - was  # Newcombe's interval of the difference of two shares
    reading = Reading(
        name=f"{column}.{what}", value=gap, low=gap - sqrt((now - a) ** 2 + (d - was) ** 2),
        high=gap + sqrt((b - now) ** 2 + (was - c) ** 2), n=n, better="neither", seed=seed,
    )  # fmt: skip
    told = says.format(now=f"{100 * now:.3g}%", was=f"{100 * was:.3g}%")
    return Asked(column, what, hypergeometric(k, n, old, m), reading, told)


def _values(there: Array, before: Known, seed: int) -> Iterator[Asked]:
    n, m = len(there), len(before.there)
    if not n or not m:
        return
    names, at = np.unique(np.concatenate([there, before.there]), return_inverse=True)
    now, was = (np.bincount(part, minlength=len(names)) for part in (at[:n], at[n:]))
    chances = [hypergeometric(int(k), n, int(o), m) for k, o in zip(now, was, strict=True)]
    gaps = np.abs(now / n - was / m)
    first = min(range(len(names)), key=lambda j: (chances[j], -gaps[j]))
    told = _share(before.name, "values", int(now[first]), n, int(was[first]), m, seed,
                  f"{str(names[first])[:40]!r} in {{now}} of the rows, {{was}} before")  # fmt: skip
    many = max(len(names) - (len(names) == 2), 1)  # two shares are one
    yield Asked(told.column, told.what, min(1.0, many * told.p), told.reading, told.says)


def _distribution(there: Array, before: Known, seed: int) -> Asked:
    n, m = len(there), len(before.there)
    a, b = (torch.from_numpy(np.ascontiguousarray(t))[:, None] for t in (there, before.there))
    found = kolmogorov_smirnov(a, b)
    value = float(found.statistic[0])
    # The band of Dvoretzky, Kiefer, Wolfowitz and Massart around both distribution functions.
    room = sum(sqrt(log(4 / (1 - CERTAIN)) / (2 * k)) for k in (n, m))
    reading = Reading(
        name=f"{before.name}.distribution", value=value, low=max(value - room, 0.0),
        high=min(value + room, 1.0), n=n, unit="distance", better="neither", seed=seed,
    )  # fmt: skip
    says = f"median {np.median(there):.4g}, {np.median(before.there):.4g} before"
    return Asked(before.name, "distribution", min(float(found.p[0]), 1.0), reading, says)


def _outside(there: Array, before: Known, seed: int) -> Asked:
    n, m, low, high = len(there), len(before.there), before.there[0], before.there[-1]
    under, over = int((there < low).sum()), int((there > high).sum())
    p = min(1.0, 2 * min(beyond(under, n, m), beyond(over, n, m)))
    share = (under + over) / n
    ends = clopper_pearson(under + over, n)
    reading = Reading(
        name=f"{before.name}.outside", value=share, low=ends[0], high=ends[1], n=n,
        better="neither", seed=seed,
    )  # fmt: skip
    parts = [f"{under} below {low:.4g} (down to {there.min():.4g})"] if under else []
    parts += [f"{over} above {high:.4g} (up to {there.max():.4g})"] if over else []
    says = f"{' and '.join(parts) or 'none'} of {n} values, outside the range of the reference"
    return Asked(before.name, "outside", p, reading, says)
