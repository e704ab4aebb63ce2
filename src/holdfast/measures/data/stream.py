"""A stream of windows against a reference: when did something change, and what?

The level alpha is spent over the windows: number t is tested at alpha / (t (t + 1)), and these
levels sum to alpha however long the stream gets. Inside a window all questions about all columns
are corrected together (Holm). So the chance of any false alarm, in any window, about any column, is
at most alpha. That needs no independence, of columns or of windows. Windows are in fact dependent:
all are compared with the same finite reference, so that products of e-values or of p-values over
them would promise too much. And no answer changes when the stream goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import exp, lgamma

import numpy as np
import torch

from holdfast.core.errors import ConfigError
from holdfast.core.records import Reading
from holdfast.measures.data.columns import (
    Array,
    Known,
    Window,
    blank,
    coded,
    known,
    parsed,
)
from holdfast.measures.data.moved import effects
from holdfast.measures.data.questions import Asked, asked
from holdfast.measures.data.two_sample_tests import adjusted

NAMED = 3


@dataclass(frozen=True)
class Moved:
    """A column that moved in a window.

    Args:
        column: its name.
        p: of its clearest question, corrected for all questions of the window.
        questions: those that are answered by a change, the clearest first, p so corrected.
        effects: how far it moved.
    """

    column: str
    p: float
    questions: tuple[Asked, ...]
    effects: tuple[Reading, ...]


@dataclass(frozen=True)
class Look:
    """What one window showed.

    Args:
        name: of the window.
        n: rows looked at.
        whole: rows that there were.
        number: its place in the stream, from 1.
        level: its part of alpha.
        p: chance of a change as clear as the clearest, corrected for every question of the window.
        answered: the clearest question, if any was asked.
        questions: how many were asked.
        moved: columns that moved, the clearest first, and of equal ones the furthest.
        changed: what is no longer as the reference has it, whatever the chances: a drift.
        notes: what is worth a look and decides nothing.
        verdict: `drift`, `no drift`, `too small` where so few rows could show no change at this
            level, or `empty`.
    """

    name: str
    n: int
    whole: int
    number: int
    level: float
    p: float = float("nan")
    answered: Asked | None = None
    questions: int = 0
    moved: tuple[Moved, ...] = ()
    changed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: str = "empty"


def level(number: int, alpha: float) -> float:
    """The part of alpha that window number t = 1, 2, ... may spend: alpha / (t (t + 1))."""
    return alpha / (number * (number + 1))


def watched(
    reference: Window,
    windows: Iterable[Window],
    *,
    alpha: float = 0.05,
    seen: int = 0,
    optional: Collection[str] = (),
    seed: int = 0,
) -> Iterator[Look]:
    """Looks at windows one after the other; none is kept.

    Property: when rows of the reference and of the stream are exchangeable, the chance that any
    window at all is called a drift is at most alpha.

    Args:
        reference: rows that the stream is expected to look like.
        windows: of the stream.
        alpha: chance of any false alarm in the whole stream.
        seen: windows of the same stream that were looked at before.
        optional: columns that a window may lack.
        seed: of the draws behind intervals.

    Raises:
        ConfigError: for a level outside (0, 1), or a reference without rows.
    """
    if not 0 < alpha < 1 or seen < 0:
        raise ConfigError(f"monitor: alpha must lie in (0, 1), got {alpha}", fix="--alpha 0.05")
    if reference.n < 2 or not reference.columns:
        raise ConfigError("monitor: the reference needs two rows at least", fix="Give more rows.")
    before = {name: known(name, column) for name, column in reference.columns.items()}
    for number, window in enumerate(windows, seen + 1):
        yield looked(before, window, number, level(number, alpha), optional, seed)


def looked(
    before: Mapping[str, Known], window: Window, number: int, own: float,
    optional: Collection[str] = (), seed: int = 0,
) -> Look:  # fmt: skip
    """What one window shows at its own level."""
    base = Look(window.name, window.n, window.whole, number, own)
    if not window.n:
        return base
    changed, notes = _schema(before, window, optional)
    there = {name: window.columns[name] for name in before if name in window.columns}
    every = [q for name, column in there.items() for q in asked(column, before[name], seed=seed)]
    chances = adjusted(torch.tensor([q.p for q in every], dtype=torch.float64), "holm").tolist()
    ranked = sorted(zip(chances, every, strict=True), key=lambda e: (e[0], e[1].p))
    every = [replace(question, p=p) for p, question in ranked]
    found: dict[str, list[Asked]] = {}
    for question in every:
        if question.p < own:
            found.setdefault(question.column, []).append(question)
    moved = tuple(
        Moved(name, told[0].p, tuple(told), effects(there[name], before[name], seed=seed))
        for name, told in found.items()
    )
    moved = tuple(sorted(moved, key=lambda m: (m.p, -far(m))))
    small = bool(every) and _least(window.n, min(k.n for k in before.values())) * len(every) >= own
    drift = bool(moved or changed)
    return Look(
        window.name, window.n, window.whole, number, own,
        p=every[0].p if every else float("nan"), answered=every[0] if every else None,
        questions=len(every), moved=moved, changed=tuple(changed),
        notes=tuple(notes + _notes(before, there)),
        verdict="drift" if drift else "too small" if small or not every else "no drift",
    )  # fmt: skip


def far(moved: Moved) -> float:
    """How far a column moved, for sorting: its first size of effect that is a number."""
    return next((e.value for e in moved.effects if e.value == e.value), 0.0)


def _least(n: int, m: int) -> float:
    """The smallest p-value that n rows against m can have: of all n ahead of all m, two-sided."""
    return min(1.0, 2 * exp(lgamma(n + 1) + lgamma(m + 1) - lgamma(n + m + 1)))


def _schema(
    before: Mapping[str, Known], window: Window, optional: Collection[str]
) -> tuple[list[str], list[str]]:  # fmt: skip
    """What breaks the form of the reference, and what only adds to it."""
    changed = [
        f"column {name!r} is missing"
        for name in before
        if name not in window.columns and name not in optional
    ]
    for name, column in window.columns.items():
        if name in before and before[name].kind == "number":
            numbers, texts = parsed(column)
            if texts.any() and np.isnan(numbers).all():
                first = str(column[texts][0])[:40]
                changed.append(f"column {name!r} holds texts, as {first!r}; numbers before")
    if window.damaged:
        changed.append(f"{window.damaged} rows do not have one field for every column")
    new = [name for name in window.columns if name not in before and name not in optional]
    notes = [f"new columns, not compared: {_some(new)}"] if new else []
    return changed, notes


def _notes(before: Mapping[str, Known], there: Mapping[str, Array]) -> list[str]:
    notes = []
    for name, column in there.items():
        old, gaps = before[name], int(blank(column).sum())
        if gaps == len(column) and len(old.there):
            was = f"{100 * old.missing / old.n:.3g}%"
            notes.append(f"{name}: no value in any of {gaps} rows; {was} of the rows before")
        if old.kind == "values":
            values = coded(column, old)
            unknown = values[~np.isin(values, old.there)]
            if len(unknown):
                notes.append(f"{name}: new values {_some(sorted(set(map(str, unknown))))} "
                             f"in {len(unknown)} of {len(column)} rows")  # fmt: skip
        elif old.kind == "number" and len(old.there):
            notes += _numbers(column, old)
    return notes


def _numbers(column: Array, old: Known) -> list[str]:
    """Texts among numbers, and numbers further outside the range than the range is wide."""
    numbers, texts = parsed(column)
    count, notes = int(texts.sum()), []
    if 0 < count < len(column):
        some = _some(sorted({str(v) for v in column[texts]}))
        notes.append(f"{old.name}: texts in place of numbers, {some}, in {count} rows")
    low, high = float(old.there[0]), float(old.there[-1])
    wide = high - low
    out = numbers[(numbers < low - wide) | (numbers > high + wide)]
    if len(out) and wide > 0:
        worst = max(out, key=lambda v: max(low - v, v - high))
        notes.append(f"{old.name}: {len(out)} of {len(numbers)} values far outside "
                     f"[{low:.4g}, {high:.4g}], as {worst:.4g}")  # fmt: skip
    return notes


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(n[:40]) for n in names[:NAMED])
    more = len(names) - NAMED
    return shown + (f" and {more} more" if more > 0 else "")
