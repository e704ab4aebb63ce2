"""Cells on Ray: a cluster that is there already, or one of this machine alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.core.records import Subject
from holdfast.run.cluster import joined
from holdfast.run.elsewhere import Place, Unfit, asked, refused
from holdfast.run.executors import PAUSE
from holdfast.run.perform import Done, Within
from holdfast.run.plan import Cell
from holdfast.run.workers import Broken, back, died_twice, help_with, helper_of, searches

_INSTALL = "Install the same holdfast and the same modules on every machine."


class Worker:
    """An actor: makes the subject when its first cell comes, and keeps it."""

    def __init__(self, place: Place) -> None:
        self.place, self.ready = place, False

    def work(self, cell: Cell) -> Done | Broken | Unfit:
        """Ask one question, or say why this machine cannot."""
        if not self.ready and (unfit := self.place.enter(cell)) is not None:
            return unfit
        self.ready = True
        return asked(cell)

    def help(self, task: partial[None]) -> None:
        """Do what another worker is doing, piece by piece.

        Pieces carry the digest of all they depend on, so a machine that sees other files helps
        nobody and harms nobody.
        """
        if not self.ready:
            self.place.settle()
        task()


class Ray:
    """One actor for each free core of a Ray cluster, each with its own copy of the subject.

    An actor that dies, by itself or with its machine, costs the cell it held one more try on
    another actor. The driver alone writes cells and ledger. Where fewer cells are left than
    actors, idle ones help with searches whose pieces lie on a disk that both see.

    Args:
        address: `local` for this machine alone, `auto` for the cluster it belongs to, or
            `ray://host:port`.
        make: builds the subject on another machine; a module-level function or a partial of one.
        workers: at most so many actors; as many as there are cores unless given.
        threads: of torch in each actor.
    """

    def __init__(
        self, address: str, make: Callable[[], Subject], workers: int = 0, threads: int = 1
    ) -> None:
        self.address, self.workers, self.threads = address, workers, threads
        self.place = Place(make, str(Path.cwd()), threads)

    def run(
        self, cells: Iterator[Cell], subject: Subject, within: Within | None = None
    ) -> Iterator[Done]:
        with joined(self.address, self.workers * self.threads) as ray:
            crew = _Actors(self, ray)
            try:
                while crew.fill(cells):
                    yield from map(back, crew.finished())
            finally:
                crew.dismiss()

    @contextmanager
    def helped(self, task: Callable[[Subject], None], folder: Path) -> Iterator[None]:
        """One actor less than there are cores, since this process works too."""
        with joined(self.address, self.workers * self.threads) as ray:
            crew = _Actors(self, ray)
            try:
                for _ in range(crew.most - 1):
                    crew.help(partial(help_with, task, str(folder.resolve()), 0.0))
                yield
            finally:
                crew.dismiss()


class _Actors:
    """The actors of one run, and what each of them is at."""

    def __init__(self, asked: Ray, ray: Any) -> None:
        self.ray, self.place = ray, asked.place
        self.kind = ray.remote(Worker).options(num_cpus=asked.threads, max_restarts=0)
        cores = int(ray.cluster_resources().get("CPU", 1) // asked.threads)
        self.most = max(1, min(cores, asked.workers or cores))
        self.idle: list[Any] = []
        self.running: dict[Any, tuple[Cell, Any]] = {}
        self.helping: dict[Any, Any] = {}
        self.helpers, self.tries = Counter[int](), Counter[int]()  # of each cell, by its place
        self.orphans: list[Cell] = []

    @property
    def room(self) -> bool:
        """Whether there is an idle actor, or a core for one more."""
        return bool(self.idle) or len(self.running) + len(self.helping) < self.most

    def _hired(self) -> Any:
        return self.idle.pop() if self.idle else self.kind.remote(self.place)

    def fill(self, cells: Iterator[Cell]) -> bool:
        """Give every idle actor a cell; those of actors that died come behind all others.

        Returns:
            Whether anything is running.
        """
        while self.room:
            cell = next(cells, None) or (self.orphans.pop() if self.orphans else None)
            if cell is None:
                break
            actor = self._hired()
            self.tries[cell.place] += 1
            self.running[actor.work.remote(cell)] = cell, actor
        for cell, _ in tuple(self.running.values()):
            if self.room and self.helpers[cell.place] < self.most - 1 and searches(cell):
                self.helpers[cell.place] += 1
                self.help(helper_of(cell))
        return bool(self.running)

    def help(self, task: partial[None]) -> None:
        """Let an idle actor do a task that is done elsewhere too."""
        actor = self._hired()
        self.helping[actor.help.remote(task)] = actor

    def finished(self) -> Iterator[Done | Broken]:
        """What has come back within a moment."""
        ready, _ = self.ray.wait([*self.running, *self.helping], timeout=PAUSE)
        for ref in ready:
            if ref in self.helping:
                actor = self.helping.pop(ref)
                with suppress(self.ray.exceptions.RayError):
                    self.ray.get(ref)
                    self.idle.append(actor)
                continue
            cell, actor = self.running.pop(ref)
            found = self._fetched(ref)
            if isinstance(found, Unfit):
                raise refused(found)
            if found is not None:
                self.idle.append(actor)
                yield found
            elif self.tries[cell.place] < 2:
                self.orphans.append(cell)
            else:
                yield died_twice(cell)

    def _fetched(self, ref: Any) -> Done | Broken | Unfit | None:
        """What an actor handed back; None if it died."""
        errors = self.ray.exceptions
        try:
            found: Done | Broken | Unfit = self.ray.get(ref)
            return found
        except errors.RayTaskError as error:  # not the check: the cell could not be read there
            return Unfit(f"a worker failed ({error.cause!r})", _INSTALL)
        except errors.RayActorError as error:
            if getattr(error, "actor_init_failed", False):
                return Unfit("a worker cannot start holdfast", _INSTALL)
        except errors.RayError:
            pass
        return None

    def dismiss(self) -> None:
        """End every actor, whatever it is at."""
        actors = [a for _, a in self.running.values()]
        for actor in (*self.idle, *actors, *self.helping.values()):
            self.ray.kill(actor)
