"""The runs of a store as the dashboard reads them: by a checked name, bounded in size."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import ConfigError
from holdfast.report.document import Document, mapping
from holdfast.run.ledger import RunRow
from holdfast.run.store import Store
from holdfast.serve.cards import Card, card_of, going, standing
from holdfast.serve.notes import Notes

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
LIMIT = 200_000_000  # bytes of one results.json
_SHOWN = {"report.html", "results.json", "run.json", "summary.md", "notes.json"}


@dataclass(frozen=True)
class File:
    """A file in the folder of a run that may be looked at."""

    name: str
    size: int

    @property
    def large(self) -> str:
        """Its size as people say it."""
        return f"{self.size / 1e6:.1f} MB" if self.size >= 1e6 else f"{self.size / 1e3:.1f} kB"


class Shelf:
    """All runs of a store; a run without a ledger line is found by its folder.

    Args:
        root: the folder of the store, usually `.holdfast`.
    """

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.root = root.resolve()
        self._cards: dict[str, tuple[tuple[int, int], Card]] = {}

    def rows(self) -> dict[str, RunRow | None]:
        """Every run by its name, the oldest first; None where only the folder tells of it."""
        try:
            listed = {r.id: r for r in self.store.ledger.runs() if NAME.fullmatch(r.id)}
        except (ConfigError, OSError):  # the folders stay readable without their index
            listed = {}
        places = sorted((self.root / "runs").glob("*/results.json"))
        names = [p.parent.name for p in places]
        strays: dict[str, RunRow | None] = {
            n: None for n in names if n not in listed and NAME.fullmatch(n)
        }
        return strays | listed

    def folder(self, run: str) -> Path:
        """The folder of a run that exists; no name leads out of the store.

        Raises:
            KeyError: if there is no such run.
        """
        place = self.root / "runs" / run
        if not NAME.fullmatch(run) or len(run) > 200 or run not in self.rows():
            raise KeyError(run)
        if place.resolve() != place:
            raise KeyError(run)
        return place

    def results(self, run: str) -> Document:
        """The `results.json` of a run, empty where there is none (yet)."""
        return read(self.folder(run) / "results.json")

    def facts(self, run: str) -> Document:
        """The `run.json` of a run, empty where there is none (yet)."""
        return read(self.folder(run) / "run.json")

    def notes(self, run: str) -> Notes:
        """What people wrote about a run."""
        return Notes(self.folder(run) / "notes.json")

    def files(self, run: str) -> list[File]:
        """The files of a run that may be looked at."""
        place = self.folder(run)
        found = [p for p in sorted(place.glob("*")) if p.name in _SHOWN and not p.is_symlink()]
        return [File(p.name, p.stat().st_size) for p in found if p.is_file()]

    def file(self, run: str, name: str) -> Path:
        """One of these files.

        Raises:
            KeyError: if it is not one of them.
        """
        if name not in {f.name for f in self.files(run)}:
            raise KeyError(name)
        return self.folder(run) / name

    def card(self, run: str) -> Card:
        """The card of a run."""
        return self._card(run, self.rows()[run])

    def cards(self) -> list[Card]:
        """All cards, the latest run first."""
        return [self._card(run, row) for run, row in reversed(self.rows().items())]

    def _card(self, run: str, row: RunRow | None) -> Card:
        place = self.root / "runs" / run / "results.json"
        notes = Notes(place.parent / "notes.json").all()
        try:
            known = place.stat()
            stamp = (known.st_mtime_ns, known.st_size)
        except OSError:
            stamp = (0, 0)
        kept = self._cards.get(run)
        if kept is None or kept[0] != stamp:
            kept = self._cards[run] = (stamp, card_of(run, row, read(place)))
        told = vars(kept[1]) | standing(row, kept[1]) | {"notes": tuple(notes)}
        if told["state"] == "running":
            told |= going(read(place.parent / "live.json"))
        return Card(**told)


def read(file: Path) -> Document:
    """A JSON object of bounded size; empty where there is none that can be read."""
    try:
        if file.stat().st_size > LIMIT:
            return {}
        return mapping(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, RecursionError):
        return {}
