"""Inside the processes beside this one: their subject, their end, and what they tell."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from holdfast.core.errors import Contradiction
from holdfast.core.records import Outcome, Subject
from holdfast.run.keeper import Keeper, Over, kept
from holdfast.run.perform import SHARED, Done, perform
from holdfast.run.plan import Cell

_SPAWN = multiprocessing.get_context("spawn")


class Board:
    """How far each worker is with its search, in memory that all of them see.

    Written without a lock, so that a worker that dies in the middle of it holds nobody up; a
    line that is read half written is off by one piece for a moment, and nothing depends on it.

    Args:
        lines: one for each worker.
    """

    def __init__(self, lines: int) -> None:
        self._numbers = _SPAWN.RawArray("q", 3 * lines)

    def write(self, line: int, *numbers: int) -> None:
        """Rows done, of how many, how many of them broken."""
        self._numbers[3 * line : 3 * line + 3] = numbers

    def read(self, line: int) -> tuple[int, int, int]:
        """What was last written there; zeros if nothing was."""
        done, count, broken = self._numbers[3 * line : 3 * line + 3]
        return done, count, broken


@dataclass(frozen=True)
class Broken:
    """A contradiction on its way between processes."""

    says: str
    witnesses: dict[str, str]
    fix: str


def back(result: Done | Broken) -> Done:
    """What a worker handed back.

    Raises:
        Contradiction: if it found one.
    """
    if isinstance(result, Broken):
        raise Contradiction(result.says, witnesses=dict(result.witnesses), fix=result.fix)
    return result


def died_twice(cell: Cell) -> Done:
    """What becomes of a cell that two processes, one after the other, did not survive."""
    outcome = Outcome(
        check=cell.name, question=cell.check.question, section=cell.check.section,
        error="the process that ran it died twice", cell=cell.key,
    )  # fmt: skip
    return Done(cell, outcome, lasting=False)


_SUBJECT: list[Subject] = []
_BOARD: list[Board] = []


def pool(
    workers: int, make: Callable[[], Subject], threads: int, board: Board
) -> ProcessPoolExecutor:
    """Processes that are started when there is work for them, and make their subject then."""
    return ProcessPoolExecutor(workers, _SPAWN, _start, (make, threads, board))


def _start(make: Callable[[], Subject], threads: int, board: Board) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    threading.Thread(target=_orphaned, daemon=True).start()
    settle(make, threads, board)


def settle(make: Callable[[], Subject], threads: int, board: Board) -> Subject:
    """Make this process a worker: what it is asked from here on is asked about this subject."""
    import torch

    torch.set_num_threads(threads)
    _SUBJECT[:], _BOARD[:] = [made := make()], [board]
    return made


def _orphaned() -> None:
    """End this process as soon as its parent is gone, however that one died."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def unheard(number: int) -> Iterator[None]:
    """Hold a signal back: processes started meanwhile never see it, this one sees it after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(cell: Cell, line: int, *, shared: bool = True) -> Done | Broken:
    """Ask one question, and write how far it is.

    Args:
        cell: the question.
        line: of the board.
        shared: whether other processes may help with its searches.
    """

    def within(_: Cell, *numbers: int) -> None:
        _BOARD[0].write(line, *numbers)

    try:
        return perform(cell, _SUBJECT[0], within, shared=shared)
    except Contradiction as found:
        return Broken(found.says, {k: repr(v) for k, v in found.witnesses.items()}, found.fix)


def ask(cell: Cell, subject: Subject) -> None:
    """The searches of a question, whose findings another process tells."""
    for _ in cell.check(subject):
        pass


def help_with(task: Callable[[Subject], None], folder: str, worth: float = SHARED) -> None:
    """Do what another process is doing: each piece of its searches is made by one of the two.

    Nothing is handed back but the pieces in the folder. Whatever goes wrong here is told by the
    process that is helped, which does the same.

    Args:
        task: what that process does.
        folder: where it keeps its pieces; the help ends when it is removed.
        worth: seconds; pieces that took less are not kept.
    """
    keeper = Keeper(Path(folder), worth, guest=True)
    with suppress(Over, Exception), kept(keeper):
        task(_SUBJECT[0])


def helper_of(cell: Cell) -> partial[None]:
    """What an idle worker does for a cell that another one is at."""
    return partial(help_with, partial(ask, cell), cell.pieces)


def searches(cell: Cell) -> bool:
    """Whether a cell is at a search that others can help with."""
    return bool(cell.pieces) and any(Path(cell.pieces).glob("*.claim"))
