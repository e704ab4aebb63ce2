"""Notes that people leave on a run: a name, a text and a day, kept as JSON in its folder."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from holdfast.core.errors import ConfigError
from holdfast.report.document import Document, mappings, text
from holdfast.run.writing import canonical, write

LONGEST, MOST, NAMED = 2000, 200, 60
_SIZE = 2_000_000
_LOCK = threading.Lock()  # what is added by two pages at once is kept from both


@dataclass(frozen=True)
class Note:
    """One note.

    Args:
        name: of who wrote it.
        text: one or several lines.
        day: ISO date.
    """

    name: str
    text: str
    day: str

    @property
    def lines(self) -> list[str]:
        """The text line by line."""
        return self.text.split("\n")


def lined(value: object) -> str:
    """Text without control or reordering characters that keeps its line breaks."""
    whole = value if isinstance(value, str) else ""
    lines = [text(line, 10 * LONGEST) for line in whole.replace("\r\n", "\n").split("\n")]
    return "\n".join(lines).strip("\n")


class Notes:
    """The notes of one run.

    Args:
        file: where they are kept; written as a whole or not at all.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def all(self) -> list[Note]:
        """All notes, the oldest first; what cannot be read counts as none."""
        made = [
            Note(text(r.get("name"), NAMED), lined(r.get("text"))[:LONGEST], text(r.get("day"), 10))
            for r in (self._read() or [])[:MOST]
        ]
        return [n for n in made if n.text]

    def _read(self) -> list[Document] | None:
        """What the file holds; None where it is there and cannot be read."""
        try:
            if self.file.stat().st_size > _SIZE:
                return None
            return mappings(json.loads(self.file.read_text("utf-8")))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError):
            return None

    def _known(self) -> list[Note]:
        """All notes, to be written again with a change."""
        if self._read() is None:
            raise ConfigError(
                f"notes: {self.file.name} of {self.file.parent.name} cannot be read",
                fix="Repair the file or move it away.", code="E0174",
            )  # fmt: skip
        return self.all()

    def add(self, name: str, said: str) -> None:
        """Leave a note.

        Raises:
            ConfigError: if the name or the text is missing or too long, or there are too many.
        """
        who, what = text(name, 10 * NAMED), lined(said)
        if not who or not what or len(who) > NAMED or len(what) > LONGEST:
            raise ConfigError(
                f"notes: a name of 1 to {NAMED} and a text of 1 to {LONGEST} letters make a note,"
                f" not {len(who)} and {len(what)}",
                fix="Give both, or make two notes of it.", code="E0174",
            )  # fmt: skip
        with _LOCK:
            known = self._known()
            if len(known) >= MOST:
                raise ConfigError(
                    f"notes: this run holds {MOST} notes, the most there may be",
                    fix=f"Make room in {self.file.name} of the run.", code="E0174",
                )  # fmt: skip
            one = Note(who, what, datetime.now(UTC).date().isoformat())
            write(self.file, canonical([asdict(n) for n in (*known, one)]))

    def remove(self, place: int) -> None:
        """Take a note away; a place where there is none changes nothing."""
        with _LOCK:
            known = self._known()
            if 0 <= place < len(known):
                left = [n for i, n in enumerate(known) if i != place]
                write(self.file, canonical([asdict(n) for n in left]))
