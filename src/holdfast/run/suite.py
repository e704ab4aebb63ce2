"""The audit: every check of a suite on one subject, each finished cell on disk at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from shutil import rmtree

from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.core.kinds import Check
from holdfast.core.records import Outcome, Report, Subject
from holdfast.run.cells import Cells, subject_key
from holdfast.run.clock import Alarm, Late
from holdfast.run.decisions import CUT, STOPPED
from holdfast.run.executors import Executor, Here
from holdfast.run.pace import Pace
from holdfast.run.perform import Done
from holdfast.run.plan import Cell, plan
from holdfast.run.progress import Progress, Silent
from holdfast.run.rates import Rates
from holdfast.run.restored import settled
from holdfast.run.rows import beside, keep
from holdfast.run.store import Store


@dataclass(frozen=True)
class Suite:
    """A named tuple of checks; called with a subject it gives a report.

    Args:
        name: what `--profile` calls it.
        checks: in the order of the report.
        weights: worth of each answer, next to the others; 1 each unless said.
        says: what it is for, in one sentence.
    """

    name: str
    checks: tuple[Check, ...]
    weights: tuple[float, ...] = ()
    says: str = ""

    def __post_init__(self) -> None:
        if not self.checks:
            raise ConfigError(f"suite {self.name!r} holds no check", fix="Add a [[check]] to it.")

    def __call__(self, subject: Subject, *, store: Store | None = None) -> Report:
        """All checks on a subject, in this process."""
        return audit(self, subject, store=store)


@dataclass
class _Audit:
    """The state of one audit while it runs."""

    store: Store | None
    progress: Progress
    pace: Pace
    alarm: Alarm
    run: str
    left: dict[int, Cell]  # by their place
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)

    def enter(self, done: Done, found: bool) -> None:
        """Keep a finished cell: first on disk, then in the ledger, then on the screen."""
        outcome, fresh = settled(done.outcome), done.lasting and not found
        if self.store is not None and fresh:
            keep(beside(self.store.cells, outcome.cell), done.rows)
            Cells(self.store.cells).put(outcome, done.times)
        self.outcomes[done.cell.place] = outcome
        self.left.pop(done.cell.place, None)
        if self.store is not None:
            if fresh and done.cell.pieces:  # of a cell that is on disk as a whole
                rmtree(done.cell.pieces, ignore_errors=True)
            if done.trace and self.run:
                name = done.cell.name.replace(":", "-")
                self.store.keep(self.run, f"errors/{name}.txt", done.trace)
            if self.run:
                self.store.ledger.add(self.run, outcome)
        if not found:
            self.pace.learn(done)
        self.progress.finished(done, found)

    def queue(self, cells: tuple[Cell, ...]) -> Iterator[Cell]:
        """Cells that fit into the budget, drawn one by one; what is left of it goes to the rest.

        Those that seem too long come last, the shortest first: a forecast may be wrong, and what
        is finished of them when the time is over is kept for the same command.
        """
        waiting = list(cells)
        while waiting and self.alarm.left > 0:
            fits = (c for c in waiting if self.pace.one(c) <= self.alarm.left)
            cell = next(fits, None) or min(waiting, key=self.pace.one)
            waiting.remove(cell)
            self.begun.add(cell.place)
            self.progress.begins(cell, min(self.pace.left(self.left.values()), self.alarm.left))
            yield cell

    def closed(self, stopped: bool) -> tuple[Outcome, ...]:
        """All outcomes in the order of the suite; what did not run says why."""
        for c in self.left.values():
            half = ": it was begun and not finished" if c.place in self.begun else ""
            reason = f"{CUT}{half}\nUse a larger --budget; the same command continues."
            if stopped:
                reason = f"{STOPPED}\nThe same command continues."
            self.outcomes[c.place] = Outcome(
                check=c.name, question=c.check.question, section=c.check.section,
                skipped=reason, cell=c.key,
            )  # fmt: skip
        return tuple(self.outcomes[place] for place in sorted(self.outcomes))


def identity(suite: Suite, subject: Subject) -> str:
    """Digest of a whole audit: equal if and only if every cell is equal."""
    cells = plan(suite.checks, subject, suite.weights)
    return digest([suite.name, subject_key(subject), sorted((c.place, c.key) for c in cells)])


def audit(
    suite: Suite,
    subject: Subject,
    *,
    store: Store | None = None,
    budget: float | None = None,
    progress: Progress | None = None,
    resume: bool = True,
    run: str = "",
    executor: Executor | None = None,
    rates: Rates | None = None,
) -> Report:
    """Ask every question of a suite; nothing that was finished before is computed again.

    Each finished cell is on disk before the next begins. A check that crashes is an outcome with
    an error, one that cannot apply an outcome with a reason. On Ctrl-C the report of what is
    finished comes back; what is not is marked as stopped.

    Args:
        suite: the checks.
        subject: what they are asked about.
        store: where cells are kept; None keeps nothing.
        budget: seconds, after which the work ends wherever it is; what is left out says so.
        progress: told of each step.
        resume: whether finished cells are looked up.
        run: name of the run in the ledger; empty enters none.
        executor: where cells run; in this process unless said.
        rates: what checks cost on this machine, for forecasts only.

    Raises:
        Contradiction: an attack broke what a certificate had proved.
    """
    begun = time.monotonic()
    cells = plan(suite.checks, subject, suite.weights)
    stopped, where = False, executor or Here()
    pace = Pace(rates=rates or Rates(), workers=getattr(where, "workers", 1))
    alarm = Alarm(None if budget is None else begun + budget)
    state = _Audit(store, progress or Silent(), pace, alarm, run, {c.place: c for c in cells})
    try:
        known = Cells(store.cells) if store is not None and resume else None
        todo = []
        for cell in cells:
            kept = known.get(cell.key) if known and not cell.skipped else None
            if kept is None and not cell.skipped:
                pieces = str(store.pieces / cell.key) if store is not None and resume else ""
                todo.append(replace(cell, pieces=pieces))
                continue
            outcome = kept or Outcome(
                check=cell.name, question=cell.check.question, section=cell.check.section,
                skipped=cell.skipped, cell=cell.key,
            )  # fmt: skip
            times = known.times(cell.key) if known and kept else {}
            done = Done(cell, replace(outcome, check=cell.name), times=times)
            state.enter(done, found=True)
        with suppress(Late), alarm:
            if todo and alarm.left > 0:
                pace.meet(subject)
            state.progress.planned(tuple(todo), pace.all(todo))
            for done in where.run(state.queue(tuple(todo)), subject, state.progress.within):
                with alarm.held():
                    state.enter(done, found=False)
        state.progress.ended()
    except KeyboardInterrupt:
        stopped = True
    finally:
        alarm.off()
    return Report(
        suite=suite.name,
        subject=subject.about,
        outcomes=state.closed(stopped),
        seed=subject.seed,
    )
