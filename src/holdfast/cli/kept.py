"""The folder beside the output in which a hardening is kept until all of it is done."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import rmtree
from typing import Any

from holdfast.cli import company
from holdfast.core.errors import ConfigError
from holdfast.run import ranks

_FILE = "plan.json"


class Kept:
    """What was decided when the run began, and how long it has taken; for whoever continues it.

    Where several processes train together, the first one reads and writes for all.

    Args:
        place: file of the weights that will be written.
        fresh: forget what is there.
    """

    def __init__(self, place: Path, fresh: bool) -> None:
        self.folder = place.with_name(f"{place.stem}.training")
        if fresh:
            self.remove()
        self.known: dict[str, Any] = company.told(self._read)

    def _read(self) -> dict[str, Any]:
        file = self.folder / _FILE
        try:
            known: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        except ValueError:
            return {}
        return known

    def claim(self, identity: str) -> None:
        """Go on as this run and no other.

        Args:
            identity: digest of model, rows and settings.

        Raises:
            ConfigError: if the folder belongs to a run of something else, or of another number of
                processes.
        """
        world = ranks.world()
        before = self.known.get("processes", world)
        if before != world:
            again = f"torchrun --nproc-per-node {before} -m " if before > 1 else ""
            raise ConfigError(
                f"harden: {self.folder} keeps a run of {before} processes, now there are {world}",
                fix=f"{again}holdfast harden ... goes on with it; --fresh forgets it.",
                code="E0191",
            )
        if self.known.get("identity", identity) != identity:
            raise ConfigError(
                f"harden: {self.folder} keeps a run with another model, data or settings",
                fix="Add --fresh to forget it, or name another file: -o other.safetensors",
                code="E0146",
            )
        self.known |= {"identity": identity, "processes": world}

    def put(self, **more: Any) -> None:
        """Remember something at once."""
        from holdfast.run.writing import canonical, write

        self.known |= more
        if company.first():
            write(self.folder / _FILE, canonical(self.known))

    def spent(self, seconds: float) -> None:
        """Count seconds of training."""
        self.put(seconds=self.known.get("seconds", 0.0) + seconds)

    def remove(self) -> None:
        """All is done: nothing is left to continue."""
        if (
            company.first() and (self.folder / _FILE).is_file()
        ):  # a folder that somebody else has made is left alone
            rmtree(self.folder, ignore_errors=True)
