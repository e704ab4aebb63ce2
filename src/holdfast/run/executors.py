"""Where cells run: in this process, or in a few processes beside it."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from multiprocessing import connection
from pathlib import Path
from typing import Any, Protocol

from holdfast.core.errors import Contradiction
from holdfast.core.records import Outcome, Subject
from holdfast.run.perform import Done, Within, perform
from holdfast.run.plan import Cell
from holdfast.run.workers import Board, Broken, help_with, helper_of, pool, unheard, work

PAUSE = 0.5  # seconds between two looks at how far the workers are


class Executor(Protocol):
    """Runs cells in any order; hands each back as soon as it is finished."""

    def run(
        self, cells: Iterator[Cell], subject: Subject, within: Within | None = None
    ) -> Iterator[Done]:
        """Draws the next cell only when there is room for it.

        Args:
            cells: the questions.
            subject: what they are asked about.
            within: told now and then how far the searches of a cell are.
        """

    def helped(self, task: Callable[[Subject], None], folder: Path) -> AbstractContextManager[None]:
        """For the block, which does a task itself, others do the same task on their own subject.

        Args:
            task: whose searches are shared; a module-level function or a partial of one.
            folder: of the keeper through which they are.
        """


class Here:
    """One cell after the other in this process."""

    def run(
        self, cells: Iterator[Cell], subject: Subject, within: Within | None = None
    ) -> Iterator[Done]:
        for cell in cells:
            yield perform(cell, subject, within)

    def helped(self, task: Callable[[Subject], None], folder: Path) -> AbstractContextManager[None]:
        return nullcontext()


class Local:
    """Some processes beside this one, each with its own copy of the subject.

    A process that dies costs the cells it held one more try, alone; the run goes on. Where fewer
    cells are left than processes, idle ones help with the searches of those that run.

    Args:
        workers: how many processes.
        make: builds the subject in a fresh process; a module-level function or a partial of one.
        threads: of torch in each process.
    """

    def __init__(self, workers: int, make: Callable[[], Subject], threads: int = 1) -> None:
        self.workers, self.make, self.threads = workers, make, threads

    def run(
        self, cells: Iterator[Cell], subject: Subject, within: Within | None = None
    ) -> Iterator[Done]:
        with _Crew(self) as crew:
            while True:
                crew.fill(cells)
                if not crew.running and not crew.orphans:
                    return
                yield from map(_back, crew.finished(within))
                if crew.orphans and not crew.running:
                    yield from map(self._alone, crew.renewed())

    def _alone(self, cell: Cell) -> Done:
        """A cell in a process of its own; if that one dies too, the cell is the cause."""
        with pool(1, self.make, self.threads, Board(1)) as single:
            try:
                return _back(single.submit(work, cell, 0).result())
            except BrokenProcessPool:
                outcome = Outcome(
                    check=cell.name, question=cell.check.question, section=cell.check.section,
                    error="the process that ran it died twice", cell=cell.key,
                )  # fmt: skip
                return Done(cell, outcome, lasting=False)

    @contextmanager
    def helped(self, task: Callable[[Subject], None], folder: Path) -> Iterator[None]:
        """One process less than there are workers, since this one works too."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with _Crew(self) as crew:
                crew.share(partial(help_with, task, str(folder), 0.0), self.workers - 1)
                yield
        finally:
            torch.set_num_threads(threads)


class _Crew:
    """The processes of one run, and what each of them is at."""

    def __init__(self, local: Local) -> None:
        self.local, self.board = local, Board(local.workers)
        self.free = list(range(local.workers))  # lines of the board
        self.running: dict[Future[Done | Broken], tuple[Cell, int]] = {}
        self.helping: dict[Future[None], int] = {}
        self.helpers = Counter[int]()  # that each cell has had, by its place
        self.orphans: list[Cell] = []
        self.before = set(multiprocessing.active_children())
        self.pool = self._pool()

    def _pool(self) -> ProcessPoolExecutor:
        return pool(self.local.workers, self.local.make, self.local.threads, self.board)

    def fill(self, cells: Iterator[Cell]) -> None:
        """Give every idle process a cell, or where there is none left one to help with."""
        while self.free and (cell := next(cells, None)) is not None:
            line = self.free.pop()
            self.board.write(line, 0, 0, 0)
            try:
                with unheard(signal.SIGINT):
                    self.running[self.pool.submit(work, cell, line)] = cell, line
            except BrokenProcessPool:
                self.free.append(line)
                self.orphans.append(cell)
                return
        for cell, _ in tuple(self.running.values()):
            most = self.local.workers - 1
            if self.free and self.helpers[cell.place] < most and _searches(cell):
                self.helpers[cell.place] += 1
                self.share(helper_of(cell), 1)

    def share(self, task: partial[None], count: int) -> None:
        """Let idle processes do a task that is done elsewhere too."""
        for _ in range(count):
            with unheard(signal.SIGINT), suppress(BrokenProcessPool):
                self.helping[self.pool.submit(task)] = self.free.pop()

    def finished(self, within: Within | None) -> Iterator[Done | Broken]:
        """What has come back by the next look at the board, which is told."""
        futures: list[Future[Any]] = [*self.running, *self.helping]
        ready = wait(futures, PAUSE, FIRST_COMPLETED).done
        self.free += [self.helping.pop(future) for future in ready & self.helping.keys()]
        for future in ready & self.running.keys():
            cell, line = self.running.pop(future)
            self.free.append(line)
            if isinstance(future.exception(), BrokenProcessPool):
                self.orphans.append(cell)
            else:
                yield future.result()
        for cell, line in self.running.values():
            done, count, broken = self.board.read(line)
            if within is not None and count:
                within(cell, done, count, broken)

    def renewed(self) -> list[Cell]:
        """New processes in place of those that died, and the cells that these were at."""
        lost, self.orphans = self.orphans, []
        self.pool.shutdown(wait=False)
        self.pool = self._pool()
        return lost

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *about: object) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        mine = set(multiprocessing.active_children()) - self.before
        for child in mine:
            child.terminate()
        for child in mine:  # its end is seen, not fetched: that is done by a thread of the pool
            connection.wait([child.sentinel], 1.0)


def _searches(cell: Cell) -> bool:
    """Whether a cell is at a search that others can help with."""
    return bool(cell.pieces) and any(Path(cell.pieces).glob("*.claim"))


def _back(result: Done | Broken) -> Done:
    if isinstance(result, Broken):
        raise Contradiction(result.says, witnesses=dict(result.witnesses), fix=result.fix)
    return result
