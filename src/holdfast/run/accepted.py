"""Accepted risks: gates that somebody lets stand open until a day, with a name and a reason.

    [[accepted]]
    gate = "attacks.worst@linf:8/255"
    name = "Anna Weber"
    reason = "the camera is sealed; training against it is planned for spring"
    until = 2027-03-31

An acceptance covers a number that is known and too low, or too close to call. It never covers a
number that is missing: nobody can accept a risk that was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.run.decisions import Judged

OPEN = ("fail", "undecided")
_FIELDS = ("gate", "name", "reason", "until")
_FIX = 'Write [[accepted]] with gate = "clean.accuracy", name, reason and until = 2030-12-31.'


@dataclass(frozen=True)
class Acceptance:
    """Who lets which gate stand open, why, and until which day (that day included).

    Args:
        gate: name of a gate; `*` stands for anything, as in gates.
        name: of the person who answers for it.
        reason: why the risk is borne.
        until: the last day on which it holds.
    """

    gate: str
    name: str
    reason: str
    until: date

    @property
    def says(self) -> str:
        """The acceptance in one line."""
        return f"accepted by {self.name} until {self.until}: {self.reason}"


def _day(value: object) -> date | None:
    """The day that a value of a TOML file means, None if it means none."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        return None


def _acceptance(row: object, place: str) -> Acceptance:
    table = row if isinstance(row, Mapping) else {}
    if wrong := sorted({*_FIELDS} ^ {*table}):
        many = ", ".join(wrong)
        raise ConfigError(f"{place}: missing or unknown: {many}", fix=_FIX, code="E0176")
    until, words = _day(table["until"]), [table[f] for f in _FIELDS[:3]]
    for field, word in zip(_FIELDS, words, strict=False):
        if not isinstance(word, str) or not word.strip():
            raise ConfigError(f"{place}: {field} is {word!r}, no text", fix=_FIX, code="E0176")
    if until is None:
        says = f"{place}: until is {table['until']!r}, no day"
        raise ConfigError(says, fix=_FIX, code="E0176")
    gate, name, reason = (" ".join(w.split()) for w in words)
    return Acceptance(gate, name, reason, until)


def accepted_of(rows: object, file: str = "holdfast.toml") -> tuple[Acceptance, ...]:
    """The acceptances of a project's file.

    Args:
        rows: its `accepted`, a list of tables; None for none.
        file: its name, for errors.

    Raises:
        ConfigError: if a field is missing, unknown or empty, or the day is none.
    """
    if rows is None:
        return ()
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise ConfigError(f"{file}: accepted is no list of tables", fix=_FIX, code="E0176")
    places = (f"{file}: accepted risk {k + 1}" for k in range(len(rows)))
    return tuple(_acceptance(row, place) for row, place in zip(rows, places, strict=True))


def accept(line: Judged, accepted: Sequence[Acceptance], day: date | None) -> Judged:
    """A gate that stands open, accepted if somebody answers for it on that day.

    Args:
        line: a gate that was judged; one that passes or is missing comes back as it is.
        accepted: all acceptances.
        day: on which the verdict is given; None where none is known, then nothing is accepted.
    """
    own = [a for a in accepted if line.name == a.gate or fnmatchcase(line.name, a.gate)]
    if line.verdict not in OPEN or not own or day is None:
        return line
    last: Any = max(own, key=lambda a: a.until)
    if day <= last.until:
        return replace(line, verdict="accepted", says=last.says, accepted=last)
    again = "fails again" if line.verdict == "fail" else "open again"
    return replace(line, says=f"{again}, the acceptance by {last.name} ended on {last.until}")
