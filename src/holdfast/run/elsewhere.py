"""On another machine: the same folder, the same subject and the same code, or a clear no."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import ConfigError, HoldfastError
from holdfast.core.records import Subject
from holdfast.run.cells import subject_key
from holdfast.run.foreign import keyed
from holdfast.run.perform import Done
from holdfast.run.plan import Cell
from holdfast.run.workers import Board, Broken, settle, work


@dataclass(frozen=True)
class Unfit:
    """Why a worker cannot be asked anything; it travels in place of what it would have found."""

    says: str
    fix: str


@dataclass(frozen=True)
class Place:
    """What a worker on another machine needs to know before its first cell.

    Args:
        make: builds the subject; a module-level function or a partial of one.
        folder: that relative paths are told from; every machine must see it.
        threads: of torch in each worker.
    """

    make: Callable[[], Subject]
    folder: str
    threads: int = 1

    def settle(self) -> Subject:
        """Make this process a worker, whatever it will be asked."""
        os.chdir(self.folder)
        return settle(self.make, self.threads, Board(1))

    def enter(self, cell: Cell) -> Unfit | None:
        """Make this process a worker, if it would ask the very same question.

        The key of the first cell is computed anew from what this machine sees. It covers weights,
        rows, sources, torch and precision, so an equal key means an equal outcome.
        """
        node = platform.node()
        if not Path(self.folder).is_dir():
            return Unfit(f"{node}: there is no folder {self.folder}", "Put it on a shared disk.")
        try:
            key = keyed(cell.check, subject_key(self.settle()))
        except Exception as error:
            says = error.says if isinstance(error, HoldfastError) else repr(error)
            return Unfit(f"{node}: the subject cannot be made ({says})", "Try --on here there.")
        if key != cell.key:
            says = f"{node}: weights, rows, holdfast or torch differ from those of this machine"
            return Unfit(says, "Install the same versions there, and share the files.")
        return None


def asked(cell: Cell, *, shared: bool = True) -> Done | Broken:
    """One question asked of the subject of this process.

    Args:
        cell: the question.
        shared: whether other processes may help with its searches, which takes locks on files.
    """
    return work(cell, 0, shared=shared)


def refused(unfit: Unfit) -> ConfigError:
    """The error that ends an audit whose workers cannot do what was asked."""
    return ConfigError(f"--on: {unfit.says}", fix=unfit.fix, code="E0194")
