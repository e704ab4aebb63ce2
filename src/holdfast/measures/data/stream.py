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

import torch

from holdfast.core.errors import ConfigError
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.data.columns import (
    Known,
    Window,
    known,
)
from holdfast.measures.data.form import broken, noted
from holdfast.measures.data.moved import effects
from holdfast.measures.data.questions import Asked, asked
from holdfast.measures.data.two_sample_tests import adjusted


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
    inside("(0, 1)", "monitor", alpha=alpha)
    inside("[0, inf]", "monitor", seen=seen)
    if reference.n < 2 or not reference.columns:
        raise ConfigError(f"monitor: the reference needs two rows or more, got {reference.n}",
                          fix="Give a reference of two rows or more.")  # fmt: skip
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
    changed, notes = broken(before, window, optional)
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
        notes=tuple(notes + noted(before, there)),
        verdict="drift" if drift else "too small" if small or not every else "no drift",
    )  # fmt: skip


def far(moved: Moved) -> float:
    """How far a column moved, for sorting: its first size of effect that is a number."""
    return next((e.value for e in moved.effects if e.value == e.value), 0.0)


def _least(n: int, m: int) -> float:
    """The smallest p-value that n rows against m can have: of all n ahead of all m, two-sided."""
    return min(1.0, 2 * exp(lgamma(n + 1) + lgamma(m + 1) - lgamma(n + m + 1)))
