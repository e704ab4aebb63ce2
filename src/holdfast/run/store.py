"""The store of a folder: finished cells, the ledger, and one folder for each run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from holdfast.core.errors import ConfigError
from holdfast.run.ledger import Ledger, RunRow
from holdfast.run.writing import canonical, write

_LAST = re.compile(r"last(?:~(\d+))?")


class Store:
    """Everything that audits leave behind, in one folder that may be deleted as a whole.

    Args:
        root: usually `.holdfast` in the working folder; made when something is first kept.
    """

    def __init__(self, root: Path | str = ".holdfast") -> None:
        self.root = Path(root)
        self.ledger = Ledger(self.root / "ledger.sqlite")

    @property
    def cells(self) -> Path:
        """The folder of finished cells."""
        return self.root / "cells"

    @property
    def pieces(self) -> Path:
        """The folder of pieces of cells that are not finished."""
        return self.root / "pieces"

    def folder(self, run: str) -> Path:
        """The folder of a run."""
        return self.root / "runs" / run

    def name_run(self, stem: str, identity: str, day: str, *, fresh: bool = False) -> str:
        """The name of a run: day, model and content; an unchanged audit keeps its name.

        Args:
            stem: what the model is called.
            identity: digest of the suite, the subject and every cell.
            day: ISO date, used if the run is new.
            fresh: always a new name.
        """
        safe = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40] or "model"
        known = self.ledger.runs()
        if not fresh:
            for row in reversed(known):
                if row.identity == identity and row.model == stem:
                    return row.id
        wanted = f"{day}-{safe}-{identity[:4]}"
        taken = {row.id for row in known}
        name, count = wanted, 1
        while name in taken or self.folder(name).exists():
            count += 1
            name = f"{wanted}-{count}"
        return name

    def find_run(self, name: str) -> RunRow:
        """A run by its name, by a part of it, or as `last`, `last~1` ...

        Raises:
            ConfigError: if there is none or more than one.
        """
        rows = self.ledger.runs()
        back = _LAST.fullmatch(name)
        if back:
            place = len(rows) - 1 - int(back[1] or 0)
            if place >= 0:
                return rows[place]
            raise ConfigError(
                f"runs: there is no {name}, the store holds {len(rows)}",
                fix="Make one: holdfast audit MODEL --data DATA", code="E0124",
            )  # fmt: skip
        found = [r for r in rows if r.id == name] or [r for r in rows if name in r.id]
        if len(found) != 1:
            these = ", ".join(r.id for r in found[-5:]) or "nothing"
            raise ConfigError(f"runs: {name!r} names {these}", fix="See: holdfast ls", code="E0124")
        return found[0]

    def results(self, run: str) -> dict[str, Any]:
        """The `results.json` of a run."""
        return self._read(self.folder(run) / "results.json")

    def facts(self, run: str) -> dict[str, Any]:
        """The `run.json` of a run: times, host, versions; empty if it was never finished."""
        file = self.folder(run) / "run.json"
        return self._read(file) if file.is_file() else {}

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            return json.loads(file.read_text("utf-8"))  # type: ignore[no-any-return]
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"runs: {file.parent.name}/{file.name} cannot be read ({type(error).__name__})",
                fix="Run the same audit again; finished cells are kept.", code="E0125",
            ) from None  # fmt: skip

    def keep(self, run: str, name: str, content: Any) -> Path:
        """Put a file into the folder of a run: text as it is, anything else as canonical JSON."""
        text = content if isinstance(content, str | bytes) else canonical(content)
        return write(self.folder(run) / name, text)
