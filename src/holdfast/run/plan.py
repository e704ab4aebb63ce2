"""The plan: which cells there are, what each will cost, and in which order they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.core.catalog import entry_of
from holdfast.core.errors import HoldfastError
from holdfast.core.kinds import Check
from holdfast.core.records import Subject
from holdfast.run.cells import subject_key
from holdfast.run.decisions import LACKS
from holdfast.run.foreign import keyed

ENABLE: Mapping[str, str] = {
    "model": "Name a model.",
    "batches": "Give labelled rows with --data.",
    "trusted": "Give --reference DATA, or at least 200 rows, so that one half can be set aside.",
    "threats": "Name one, for example --threat linf:8/255.",
    "make": "Give the architecture with --arch, so that it can be made anew.",
    "others": "Give a second model with --against.",
}


_NEEDS: Mapping[str, str] = {
    "batches": "a set of labelled rows",
    "trusted": "a second set of rows to fit on",
    "make": "the architecture",
    "others": "a second model",
    "env": "an environment",
}


@dataclass(frozen=True, eq=False)
class Cell:
    """One check on one subject.

    Args:
        place: position in the suite, which is the order of the report.
        check: the question, with its settings.
        name: its catalogue name.
        key: digest of everything its outcome depends on.
        cost: forecast in passes (rows through the model, a backward pass counted as two).
        weight: how much its answer is worth, next to the others of the suite.
        skipped: why it cannot run; empty if it can.
        pieces: folder where finished pieces of its searches are kept; empty keeps none.
    """

    place: int
    check: Check
    name: str
    key: str
    cost: float
    weight: float = 1.0
    skipped: str = ""
    pieces: str = ""


def name_of(check: Check) -> str:
    """The catalogue name of a check, or that of its class."""
    entry = entry_of(type(check)) or entry_of(check)
    return entry.key if entry else f"check:{type(check).__name__}"


def _lacking(check: Check, subject: Subject) -> str:
    """The first thing that the check needs and the subject has not, in words."""
    for need in check.needs:
        value = getattr(subject, need, None)
        if value is None or (isinstance(value, tuple | Mapping) and not value):
            what = _NEEDS.get(need, f"a {need.rstrip('s')}")
            return f"{LACKS}{what}, and there is none\n{ENABLE.get(need, '')}".strip()
    return ""


def _cost(check: Check, subject: Subject) -> float:
    """The forecast; a check that cannot tell counts one pass per row."""
    try:
        return max(float(check.cost(subject)), 1.0)
    except (HoldfastError, TypeError, ValueError, ArithmeticError, AttributeError):
        return float(max(len(subject.batches or ()), 1))


def plan(
    checks: tuple[Check, ...], subject: Subject, weights: tuple[float, ...] = ()
) -> tuple[Cell, ...]:
    """Cells by information per second, the dearest news last.

    The order depends on forecasts in passes, not on clocks, so it is the same everywhere.

    Args:
        checks: in the order of the report.
        subject: what they are asked about.
        weights: worth of each answer; 1 each unless said.
    """
    whole = subject_key(subject)
    cells = []
    for place, check in enumerate(checks):
        lacking = _lacking(check, subject)
        cells.append(
            Cell(
                place, check, name_of(check), keyed(check, whole),
                0.0 if lacking else _cost(check, subject),
                weights[place] if place < len(weights) else 1.0, lacking,
            )
        )  # fmt: skip
    return tuple(sorted(cells, key=lambda c: (c.cost / max(c.weight, 1e-9), c.place)))
