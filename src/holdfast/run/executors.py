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

from holdfast.core.records import Subject
from holdfast.run.perform import Done, Within, perform
from holdfast.run.plan import Cell
from holdfast.run.workers import (
    Board,
    Broken,
    back,
    died_twice,
    help_with,
    helper_of,
    pool,
    searches,
    unheard,
    work,
)  # fmt: skip

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

    A process that dies costs the cell it held one more try, alone and behind all others; no other
    process notices. Where fewer cells are left than processes, idle ones help with the searches of
    those that run.

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
                yield from map(back, crew.finished(within))
                while crew.orphans and not crew.running:
                    yield self._alone(crew.orphans.pop(0))

    def _alone(self, cell: Cell) -> Done:
        """A cell in a process of its own; if that one dies too, the cell is the cause."""
        with pool(1, self.make, self.threads, Board(1)) as single:
            try:
                return back(single.submit(work, cell, 0).result())
            except BrokenProcessPool:
                return died_twice(cell)

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
        self.pools: dict[int, ProcessPoolExecutor] = {}  # of one process each, by line

    def submit(self, line: int, task: Callable[..., Any], *given: Any) -> Future[Any]:
        """Hand a task to the process of a line, or to a new one where that has died while idle."""
        local = self.local
        for _ in range(2):
            if line not in self.pools:
                self.pools[line] = pool(1, local.make, local.threads, self.board)
            with unheard(signal.SIGINT), suppress(BrokenProcessPool):
                return self.pools[line].submit(task, *given)
            self.buried(line)
        raise BrokenProcessPool("a process that was started a moment ago is dead")

    def buried(self, line: int) -> None:
        """The process of a line has died; the next task there starts another."""
        self.pools.pop(line).shutdown(wait=False)

    def fill(self, cells: Iterator[Cell]) -> None:
        """Give every idle process a cell, or where there is none left one to help with."""
        while self.free and (cell := next(cells, None)) is not None:
            line = self.free.pop()
            self.board.write(line, 0, 0, 0)
            self.running[self.submit(line, work, cell, line)] = cell, line
        for cell, _ in tuple(self.running.values()):
            most = self.local.workers - 1
            if self.free and self.helpers[cell.place] < most and searches(cell):
                self.helpers[cell.place] += 1
                self.share(helper_of(cell), 1)

    def share(self, task: partial[None], count: int) -> None:
        """Let idle processes do a task that is done elsewhere too."""
        for _ in range(count):
            line = self.free.pop()
            self.helping[self.submit(line, task)] = line

    def finished(self, within: Within | None) -> Iterator[Done | Broken]:
        """What has come back by the next look at the board, which is told."""
        futures: list[Future[Any]] = [*self.running, *self.helping]
        ready = wait(futures, PAUSE, FIRST_COMPLETED).done
        for future in ready & self.helping.keys():
            self.free.append(line := self.helping.pop(future))
            if isinstance(future.exception(), BrokenProcessPool):
                self.buried(line)
        for future in ready & self.running.keys():
            cell, line = self.running.pop(future)
            self.free.append(line)
            if isinstance(future.exception(), BrokenProcessPool):
                self.buried(line)
                self.orphans.append(cell)
            else:
                yield future.result()
        for cell, line in self.running.values():
            done, count, broken = self.board.read(line)
            if within is not None and count:
                within(cell, done, count, broken)

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *about: object) -> None:
        for each in self.pools.values():
            each.shutdown(wait=False, cancel_futures=True)
        mine = set(multiprocessing.active_children()) - self.before
        for child in mine:
            child.terminate()
        for child in mine:  # its end is seen, not fetched: that is done by a thread of the pool
            connection.wait([child.sentinel], 1.0)
