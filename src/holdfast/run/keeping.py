"""The place where a training run is kept, and which run it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from holdfast.core.catalog import key
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.run import ranks
from holdfast.run.checkpoint import read_state, write_state

FILE = "training.safetensors"


class Keeping:
    """Writes and finds the state of one run; refuses that of another one.

    A run is known by its settings, data, seed and number of processes; the initial weights do
    not count, since a run that is continued has weights of its own.

    Args:
        folder: where the state is kept, or None.
        plan: settings of the training.
        batches: data of the training.
        dice: of the run.
    """

    def __init__(self, folder: Path | None, plan: object, batches: Batches, dice: Dice) -> None:
        self.file = None if folder is None else folder / FILE
        self.identity = ""
        if folder is not None:
            data = [batches.x, batches.y, batches.index, batches.group, batches.more, batches.size]
            self.identity = digest([key(plan), dice.seed, dice.stream, ranks.world(), *data])

    def write(self, state: dict[str, Any]) -> None:
        """Keep a state; the first process writes for all."""
        if self.file is not None and ranks.rank() == 0:
            write_state(self.file, {"identity": self.identity} | state)

    def found(self) -> dict[str, Any] | None:
        """The state to continue from, if there is one.

        Raises:
            ConfigError: if the folder holds another run, or some processes do not see its file.
        """
        if self.file is None:
            return None
        here = self.file.exists()
        if not ranks.agreed(here):
            raise ConfigError(
                f"{self.file.name} is not seen by all processes",
                fix="Use a folder on a disk that all of them share.",
            )
        if not here:
            return None
        state = read_state(self.file)
        if state["identity"] != self.identity:
            raise ConfigError(
                f"{self.file.parent.name} holds another training run (settings, data or seed)",
                fix="Use another folder, or the settings it was started with.",
            )
        return state
