"""Where cells run: in this process, or in a few processes beside it."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from holdfast.core.errors import Contradiction, HoldfastError, MissingExtra, Unsupported
from holdfast.core.records import Finding, Outcome, Subject
from holdfast.run.pieces import Keeper, kept
from holdfast.run.plan import Cell

WORTH = 1.0  # seconds; pieces of a search that took less are done again after a crash
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_FOLDERS = re.compile(r"(?<![\w./])/(?:[^\s/'\"]+/)+")


@dataclass(frozen=True)
class Done:
    """What came back from a cell.

    Args:
        cell: which one.
        outcome: its findings, error or reason for not running.
        trace: the traceback of a crash.
        lasting: whether it may be kept: crashes and missing extras are tried again.
    """

    cell: Cell
    outcome: Outcome
    trace: str = ""
    lasting: bool = True


class Executor(Protocol):
    """Runs cells in any order; hands each back as soon as it is finished."""

    def run(self, cells: Iterator[Cell], subject: Subject) -> Iterator[Done]:
        """Draws the next cell only when there is room for it."""


def perform(cell: Cell, subject: Subject) -> Done:
    """Ask one question; whatever a check does, this returns an outcome.

    Raises:
        Contradiction: the one thing that must end the audit.
    """
    start = time.perf_counter()
    findings: tuple[Finding, ...] = ()
    error, skipped, trace, lasting = "", cell.skipped, "", not cell.skipped
    try:
        keeper = Keeper(Path(cell.pieces), WORTH) if cell.pieces else None
        with kept(keeper):
            findings = () if skipped else tuple(cell.check(subject))
    except Contradiction:
        raise
    except (Unsupported, MissingExtra) as reason:
        skipped, lasting = f"{reason.says}\n{reason.fix}".strip(), isinstance(reason, Unsupported)
    except HoldfastError as problem:
        error, trace, lasting = f"{problem.says}\n{problem.fix}".strip(), _trace(), False
    except Exception as crash:
        error = _nowhere(f"{type(crash).__name__}: {crash}".partition("\n")[0])
        trace, lasting = _trace(), False
    outcome = Outcome(
        check=cell.name, question=cell.check.question, section=cell.check.section,
        findings=findings, seconds=time.perf_counter() - start, error=error, skipped=skipped,
        cell=cell.key,
    )  # fmt: skip
    return Done(cell, outcome, trace, lasting)


def _nowhere(text: str) -> str:
    """A message without addresses and folders, so that it is the same everywhere."""
    return _FOLDERS.sub("", _ADDRESS.sub("0x...", text))


def _trace() -> str:
    return traceback.format_exc()


class Here:
    """One cell after the other in this process."""

    def run(self, cells: Iterator[Cell], subject: Subject) -> Iterator[Done]:
        for cell in cells:
            yield perform(cell, subject)


@dataclass(frozen=True)
class _Broken:
    """A contradiction on its way between processes."""

    says: str
    witnesses: dict[str, str]
    fix: str


_SUBJECT: list[Subject] = []


def _start(make: Callable[[], Subject], threads: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    threading.Thread(target=_orphaned, daemon=True).start()
    torch.set_num_threads(threads)
    _SUBJECT[:] = [make()]


def _orphaned() -> None:
    """End this process as soon as its parent is gone, however that one died."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _unheard(number: int) -> Iterator[None]:
    """Hold a signal back: processes started meanwhile never see it, this one sees it after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(cell: Cell) -> Done | _Broken:
    try:
        return perform(cell, _SUBJECT[0])
    except Contradiction as found:
        return _Broken(found.says, {k: repr(v) for k, v in found.witnesses.items()}, found.fix)


class Local:
    """Some processes beside this one, each with its own copy of the subject.

    A process that dies costs the cells it held one more try, alone; the run goes on.

    Args:
        workers: how many processes.
        make: builds the subject in a fresh process; a module-level function or a partial of one.
        threads: of torch in each process.
    """

    def __init__(self, workers: int, make: Callable[[], Subject], threads: int = 1) -> None:
        self.workers, self.make, self.threads = workers, make, threads

    def _pool(self, workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _start, (self.make, self.threads)
        )

    def run(self, cells: Iterator[Cell], subject: Subject) -> Iterator[Done]:
        before = set(multiprocessing.active_children())
        pool, running = self._pool(self.workers), dict[Future[Done | _Broken], Cell]()
        orphans: list[Cell] = []
        try:
            while True:
                while len(running) < self.workers and (cell := next(cells, None)) is not None:
                    try:
                        with _unheard(signal.SIGINT):
                            running[pool.submit(_work, cell)] = cell
                    except BrokenProcessPool:
                        orphans.append(cell)
                        break
                ready = wait(running, return_when=FIRST_COMPLETED).done if running else set()
                for future in ready:
                    cell = running.pop(future)
                    if isinstance(future.exception(), BrokenProcessPool):
                        orphans.append(cell)
                    else:
                        yield _back(future.result())
                if orphans and not running:
                    pool.shutdown(wait=False)
                    pool = self._pool(self.workers)
                    yield from map(self._alone, orphans)
                    orphans = []
                elif not ready and not running:
                    return
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()

    def _alone(self, cell: Cell) -> Done:
        """A cell in a process of its own; if that one dies too, the cell is the cause."""
        with self._pool(1) as pool:
            try:
                return _back(pool.submit(_work, cell).result())
            except BrokenProcessPool:
                outcome = Outcome(
                    check=cell.name, question=cell.check.question, section=cell.check.section,
                    error="the process that ran it died twice", cell=cell.key,
                )  # fmt: skip
                return Done(cell, outcome, lasting=False)


def _back(result: Done | _Broken) -> Done:
    if isinstance(result, _Broken):
        raise Contradiction(result.says, witnesses=dict(result.witnesses), fix=result.fix)
    return result
