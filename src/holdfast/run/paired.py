"""Two runs on the same rows: how much a number changed, and how sure that is.

Rows that both runs measured are set side by side, so what they share (hard and easy rows) cancels.
Where each row is right or wrong, McNemar's exact test asks the rows on which the runs differ;
elsewhere rows are resampled in pairs. Tests of one table are corrected together (Holm).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.run.rows import Array, Rows, Table

DRAWS = 9999
_WORK = 20_000_000  # resampled numbers; more rows get fewer draws
_LEAST = 1999
_FEW = 10  # shared rows below this say nothing


@dataclass(frozen=True)
class Paired:
    """The change of one number on the rows that two runs share.

    Args:
        change: later minus earlier.
        low: lower end of its 95 % interval.
        high: upper end.
        p: chance of a change at least as large if nothing changed (two-sided).
        n: shared rows.
    """

    change: float
    low: float
    high: float
    p: float
    n: int


def shared(before: Rows, after: Rows) -> tuple[Rows, Rows]:
    """The rows that both tables hold, in one order."""
    _, left, right = np.intersect1d(before.keys, after.keys, return_indices=True)
    return before.take(left), after.take(right)


def compare(before: Rows, after: Rows) -> Paired | None:
    """The change on shared rows; None if they are too few, or the numbers are not of one kind."""
    left, right = shared(before, after)
    if len(left.values) < _FEW or (left.group is None) != (right.group is None):
        return None
    if left.group is None:
        both = np.concatenate([left.values, right.values])
        if np.isin(both, (0.0, 1.0)).all():
            gained = int(((left.values == 0) & (right.values == 1)).sum())
            lost = int(((left.values == 1) & (right.values == 0)).sum())
            return flips(gained, lost, len(left.values))
    return resampled(left, right)


def flips(gained: int, lost: int, n: int) -> Paired:
    """McNemar's exact test, with the interval of Bonett and Price for the difference of shares.

    Under "nothing changed" every row that differs went up or down by a fair coin.

    Args:
        gained: rows that were wrong and are right.
        lost: rows that were right and are wrong.
        n: shared rows.
    """
    count, few = gained + lost, min(gained, lost)
    tail = math.fsum(math.exp(_log_choose(count, k) - count * math.log(2)) for k in range(few + 1))
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    middle = up - down
    wide = 1.959964 * math.sqrt(max(up + down - middle * middle, 0.0) / (n + 2))
    change = (gained - lost) / n
    low, high = max(-1.0, min(middle - wide, change)), min(1.0, max(middle + wide, change))
    return Paired(change, low, high, min(1.0, 2 * tail), n)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _columns(rows: Rows, groups: Array) -> Array:
    """`(n, groups)` values, each in the column of its group."""
    if rows.group is None:
        return rows.values[:, None]
    return np.where(rows.group[:, None] == groups, rows.values[:, None], 0.0)


def _total(sums: Array, grouped: bool) -> Array:
    added: Array = (np.abs(sums) if grouped else sums).sum(-1)
    return added


def resampled(before: Rows, after: Rows) -> Paired:
    """Paired bootstrap: rows are drawn again in pairs, with draws that depend on nothing else.

    The interval is the basic one (twice the change minus a quantile), which takes off the bias
    that resampling adds to sums of absolute values. p is the level at which that interval just
    reaches 0, counted so that it is never 0 itself; where no resample falls that far, the normal
    tail at the standard error of the resamples.

    Args:
        before: shared rows.
        after: the same rows in the same order.
    """
    n, grouped = len(before.values), before.group is not None
    every = [r.group for r in (before, after) if r.group is not None]
    groups = np.unique(np.concatenate(every)) if every else np.zeros(1)
    left, right = _columns(before, groups), _columns(after, groups)

    def change(counts: Array) -> Array:
        return (_total(counts @ right, grouped) - _total(counts @ left, grouped)) / n

    seen = float(change(np.ones((1, n)))[0])
    if np.array_equal(left, right):
        return Paired(0.0, 0.0, 0.0, 1.0, n)
    draws = min(DRAWS, max(_LEAST, _WORK // n))
    dice = np.random.Generator(np.random.Philox(0))
    even, found = np.full(n, 1 / n), []
    step = max(1, 2_000_000 // n)
    for start in range(0, draws, step):
        counts = dice.multinomial(n, even, size=min(step, draws - start)).astype(np.float64)
        found.append(change(counts))
    changes = np.concatenate(found)
    low, high = np.quantile(changes, (0.025, 0.975))
    far = min(int((changes >= 2 * seen).sum()), int((changes <= 2 * seen).sum()))
    p = min(1.0, 2 * (far + 1) / (draws + 1))
    if not far:  # beyond what so many draws can tell: a normal tail, never below that of n signs
        tail = math.erfc(abs(seen) / max(float(changes.std()), 1e-300) / math.sqrt(2))
        p = min(p, max(tail, 2.0 ** (1 - min(n, 60))))
    return Paired(seen, 2 * seen - float(high), 2 * seen - float(low), p, n)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected together after Holm: the chance of any false one stays within alpha."""
    order = sorted(range(len(p)), key=lambda k: p[k])
    made, least = [1.0] * len(p), 0.0
    for place, k in enumerate(order):
        least = max(least, min(1.0, (len(p) - place) * p[k]))
        made[k] = least
    return made


def compared(before: Table, after: Table) -> dict[str, Paired]:
    """The change of every number that two runs told row by row, by name."""
    made = {name: compare(before[name], after[name]) for name in after if name in before}
    return {name: one for name, one in made.items() if one is not None}


def sure(changes: Mapping[str, Paired]) -> dict[str, float]:
    """The p-values of a table of changes, corrected together."""
    names = list(changes)
    return dict(zip(names, holm([changes[n].p for n in names]), strict=True))
