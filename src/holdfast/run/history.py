"""The numbers of successive versions: runs of one model name, the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from holdfast.run.ledger import Ledger, RunRow

MOST = 60  # runs that are looked at, the latest


@dataclass(frozen=True)
class Version:
    """One run of a model: its numbers with their intervals, by name."""

    run: str
    day: str
    word: str
    numbers: dict[str, tuple[float | None, float | None, float | None]]


def versions(
    ledger: Ledger, model: str, names: Sequence[str] = ("*",), *, suite: str = "", also: str = ""
) -> list[Version]:
    """The finished runs of a model, the oldest first.

    Args:
        ledger: of the store.
        model: name of the model, as `holdfast ls` knows it.
        names: which numbers; patterns.
        suite: only runs of this suite; empty for all.
        also: a run that counts as finished although it is about to be.
    """
    rows = [r for r in ledger.runs() if r.model == model and (not suite or r.suite == suite)]
    rows = [r for r in rows if r.state == "finished" or r.id == also][-MOST:]
    table = ledger.numbers([r.id for r in rows])
    return [_version(r, table.get(r.id, {}), names) for r in rows]


def _version(
    row: RunRow,
    numbers: dict[str, tuple[float | None, float | None, float | None]],
    names: Sequence[str],
) -> Version:
    kept = {n: v for n, v in numbers.items() if any(fnmatchcase(n, p) or n == p for p in names)}
    return Version(row.id, row.started[:10], row.word or "", kept)
