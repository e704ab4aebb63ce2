"""The sign of life of a running audit: `live.json` in the run's folder, for the dashboard."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.cli.progress import Told

NAME, EVERY = "live.json", 1.0


class Live:
    """Writes how far an audit is, at most once a second, from a thread of its own.

    Nothing that goes wrong here reaches the audit, and the file appears whole or not at all.

    Args:
        folder: of the run.
        told: how far the audit is.
        command: that continues it.
    """

    def __init__(self, folder: Path, told: Told, command: str) -> None:
        self.folder, self.told, self.command = folder, told, command
        self._halt = threading.Event()
        self._pulse = threading.Thread(target=self._beat, daemon=True)

    def look(self, state: str) -> dict[str, Any]:
        """What the file holds: words and numbers of this moment."""
        from holdfast.run.writing import plain

        told = self.told
        doing = ", ".join([*dict(told.inside).values()][:2]) or told.name
        return {
            "schema_version": 1, "state": state, "beat": time.time(), "command": self.command,
            "done": told.done, "total": told.total, "doing": doing,
            "left": max(told.left - (time.monotonic() - told.since), 0.0),
            "worst": plain(told.worst), "numbers": plain(list(told.first)),
        }  # fmt: skip

    def put(self, state: str) -> None:
        """Write the file; what cannot be written is left out."""
        spare = self.folder / f".{NAME}.{os.getpid()}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            spare.write_text(json.dumps(self.look(state), allow_nan=False), "utf-8")
            spare.replace(self.folder / NAME)
        except (OSError, ValueError, TypeError, RuntimeError):
            with suppress(OSError):
                spare.unlink(missing_ok=True)

    def _beat(self) -> None:
        self.put("running")
        while not self._halt.wait(EVERY):
            self.put("running")

    def start(self) -> None:
        """From here on the file is there."""
        self._pulse.start()

    def writing(self) -> None:
        """All checks are done; what follows is the report."""
        self._halt.set()
        self._pulse.join(5 * EVERY)
        self.put("writing")

    def gone(self) -> None:
        """The audit is over: no sign of life is left."""
        self._halt.set()
        self._pulse.join(5 * EVERY)
        with suppress(OSError):
            (self.folder / NAME).unlink(missing_ok=True)
            self.folder.rmdir()  # as far as it is empty


@contextmanager
def alive(folder: Path, told: Told, command: str) -> Iterator[Live]:
    """Give signs of life while a block runs; whatever ends it, none is left behind."""
    live = Live(folder, told, command)
    live.start()
    try:
        yield live
    finally:
        live.gone()
