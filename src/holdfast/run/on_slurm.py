"""Cells as jobs of Slurm: each takes a list of them and leaves outcomes on the shared disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

from holdfast.core.errors import ConfigError, MissingExtra
from holdfast.core.records import Subject
from holdfast.run.elsewhere import Place, Unfit, asked, refused
from holdfast.run.mailbox import Mailbox, begun, posted
from holdfast.run.perform import Done, Within
from holdfast.run.plan import Cell
from holdfast.run.queued import Queue
from holdfast.run.workers import Broken, back, died_twice

PAUSE = 0.5  # seconds between two looks into the mailbox
GRACE = 10.0  # seconds that a file may be on its way over the network after its job has ended


def job(place: Place, folder: str, cells: Sequence[Cell]) -> None:
    """What runs inside a job: each cell is on disk before the next begins.

    Args:
        place: the subject, and the folder that paths are told from.
        folder: of the mailbox; a job whose folder is gone has nobody left to work for, and ends.
        cells: asked in this order.
    """
    box = Mailbox(Path(folder))
    if (unfit := place.enter(cells[0])) is not None:
        box.post(cells[0], unfit)
        return
    for cell in cells:
        if not box.folder.is_dir():
            return
        box.begin(cell)
        box.post(cell, asked(cell, shared=False))


class Slurm:
    """Jobs of a Slurm cluster, sent by submitit; nothing but files passes between the machines.

    A job that dies costs the cell it was at one more try, in a job of its own; the cells behind it
    go to another job. The driver alone writes cells and ledger. If the driver is killed, what its
    jobs leave until the same command is given again is found then.

    Args:
        make: builds the subject on another machine; a module-level function or a partial of one.
        folder: on a disk that all machines see.
        jobs: at most so many at once.
        asks: of the cluster, by submitit's names (`slurm_partition`, `timeout_min` ...).
        cluster: `slurm`, or `local` for processes of this machine.
        grace: seconds that a file may be on its way after its job has ended.
    """

    def __init__(
        self, make: Callable[[], Subject], folder: Path, *, jobs: int = 8,
        asks: Mapping[str, Any] | None = None, cluster: str = "slurm", grace: float = GRACE,
    ) -> None:  # fmt: skip
        self.place = Place(make, str(Path.cwd()))
        self.folder, self.jobs, self.cluster = folder.resolve(), jobs, cluster
        self.asks, self.grace = dict(asks or {}), grace

    def run(
        self, cells: Iterator[Cell], subject: Subject, within: Within | None = None
    ) -> Iterator[Done]:
        todo = list(cells)  # all at once: jobs wait in a queue of their own
        if not todo:
            return
        box = Mailbox(self.folder / "posted")
        box.folder.mkdir(parents=True, exist_ok=True)
        waiting = {posted(cell): cell for cell in todo}
        sent = _Sent(self, box, self._submitter(), Queue(self.cluster), waiting)
        try:
            sent.send(dealt(sent.missing(todo), self.jobs))
            while sent.waiting:
                yield from map(back, sent.arrived())
                sent.look_after()
        finally:
            sent.cancel()
            sent.box.empty(todo)
        rmtree(self.folder / "jobs", ignore_errors=True)  # their logs: all has gone well

    def helped(self, task: Callable[[Subject], None], folder: Path) -> AbstractContextManager[None]:
        says = "--on slurm: a single search is not spread over jobs"
        raise ConfigError(says, fix="Write --on local:2, or --on ray:auto.", code="E0197")

    def _submitter(self) -> Any:
        try:
            import submitit
        except ImportError:
            says, fix = "--on slurm: submitit is not installed", "pip install 'holdfast[slurm]'"
            raise MissingExtra(says, fix=fix, code="E0607") from None
        try:
            made = submitit.AutoExecutor(self.folder / "jobs", cluster=self.cluster)
        except RuntimeError as error:
            says = f"--on slurm: {error}".partition("\n")[0]
            fix = "Log in to a machine that has sbatch, or try --on slurm:cluster=local."
            raise ConfigError(says, fix=fix, code="E0196") from None
        asks = self.asks if self.cluster == "slurm" else {}
        made.update_parameters(name="holdfast", **{"timeout_min": 240, **asks})
        return made


@dataclass
class _Sent:
    """The jobs of one run, and the cells that are still out."""

    slurm: Slurm
    box: Mailbox
    submitter: Any
    queue: Queue
    waiting: dict[str, Cell]  # by the name of their file
    jobs: dict[Any, list[Cell]] = field(default_factory=dict)
    ended: dict[Any, float] = field(default_factory=dict)  # when that was first seen
    deaths: Counter[str] = field(default_factory=Counter)
    idle: int = 0  # jobs that ended before they began anything

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Those for which no earlier job has left anything that lasts."""
        there = self.box.names()
        kept = {c.key for c in cells if posted(c) in there and _lasts(self.box.fetch(c))}
        self.box.empty(left := [c for c in cells if c.key not in kept])
        return left

    def send(self, lists: Sequence[Sequence[Cell]]) -> None:
        """Submit a job for each list of cells."""
        place, folder = self.slurm.place, str(self.box.folder)
        for cells in map(list, lists):
            self.box.empty(cells)
            self.jobs[self.submitter.submit(job, place, folder, cells)] = cells

    def arrived(self) -> Iterator[Done | Broken]:
        """What has been left since the last look."""
        time.sleep(PAUSE)
        for name in sorted(self.box.names() & self.waiting.keys()):
            found = self.box.fetch(self.waiting[name])
            if isinstance(found, Unfit):
                raise refused(found)
            if found is None:  # damaged: as if it had never come
                (self.box.folder / name).unlink(missing_ok=True)
                continue
            del self.waiting[name]
            yield found

    def look_after(self) -> None:
        """Send what jobs that died have left undone."""
        for each in [j for j in self.jobs if self.queue.ended(j)]:
            since = time.monotonic() - self.ended.setdefault(each, time.monotonic())
            if since < self.slurm.grace and any(posted(c) in self.waiting for c in self.jobs[each]):
                continue
            there = self.box.names()
            out = self.waiting.keys() - there
            left = [c for c in self.jobs.pop(each) if posted(c) in out]
            fallen = [c for c in left if begun(c) in there]
            if left and not fallen:
                self._nothing_begun(each)
            self.deaths.update(c.key for c in fallen)
            for cell in fallen:
                if self.deaths[cell.key] > 1:
                    self.box.post(cell, died_twice(cell))
                else:
                    self.send([[cell]])
            if rest := [c for c in left if c not in fallen]:
                self.send([rest])

    def _nothing_begun(self, each: Any) -> None:
        self.idle += 1
        if self.idle > self.slurm.jobs:
            raise ConfigError(
                f"--on slurm: jobs end before they begin (the last was {each.job_id})",
                fix=f"Read its log: {each.paths.stderr}", code="E0198",
            )  # fmt: skip

    def cancel(self) -> None:
        """End the jobs whose cells have not all come; the others end by themselves."""
        for each in self.jobs if self.waiting else ():
            each.cancel(check=False)


def _lasts(found: Done | Broken | Unfit | None) -> bool:
    return isinstance(found, Done) and found.lasting


def dealt(cells: Sequence[Cell], jobs: int) -> list[list[Cell]]:
    """Lists of about equal cost, the dear cells first dealt; each keeps the order of the plan."""
    lists: list[list[int]] = [[] for _ in range(min(jobs, len(cells)))]
    loads = [0.0] * len(lists)
    for k in sorted(range(len(cells)), key=lambda k: (-cells[k].cost, k)):
        least = loads.index(min(loads))
        loads[least] += max(cells[k].cost, 1e-9)
        lists[least].append(k)
    return [[cells[k] for k in sorted(each)] for each in lists]
