"""Progress on the error stream: a live bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from holdfast.cli.stop import Stop
    from holdfast.core.records import Reading
    from holdfast.run.perform import Done
    from holdfast.run.plan import Cell
    from holdfast.run.stages import Times

EVERY = 10.0


def clock(seconds: float) -> str:
    """Seconds as people say them: 47 s, 4:50, 2:03:10."""
    whole = round(max(seconds, 0.0))
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Told:
    """Tells how far an audit is, what its worst number is and how long it will take.

    Args:
        stream: where to; the error stream unless given.
        stop: may end the audit from the plan to the last cell.
        foresee: says what is about to happen; asked only where something is.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        stop: Stop | None = None,
        foresee: Callable[[], str] | None = None,
    ) -> None:
        self.stream, self.stop, self.foresee = stream or sys.stderr, stop, foresee
        self.total = self.done = 0
        self.worst: Reading | None = None
        self.first: list[Reading] = []  # of each finished check
        self.name, self.left, self.since = "", 0.0, time.monotonic()
        self.inside: dict[int, str] = {}  # how far the searches of running cells are
        self.times: dict[str, Times] = {}  # of the ledgers of each cell, by its key
        self._halt = threading.Event()
        self._bar: Any = None

    def planned(self, cells: tuple[Cell, ...], seconds: float) -> None:
        if self.stop is not None:
            self.stop.arm()
        self.total += len(cells)
        if cells:
            if self.foresee is not None and (said := self.foresee()):
                self._line(said)
            found = f", {self.done} found finished" if self.done else ""
            self._line(f"{len(cells)} checks to run{found}, about {clock(seconds)}")

    def begins(self, cell: Cell, left: float) -> None:
        self.name, self.left, self.since = cell.name.partition(":")[2], left, time.monotonic()
        self._refresh()

    def within(self, cell: Cell, done: int, count: int, broken: int) -> None:
        name = cell.name.partition(":")[2]
        self.inside[cell.place] = f"{name} {done:,}/{count:,} rows"
        if done >= count:  # what follows is not counted
            del self.inside[cell.place]
        self._refresh()

    def finished(self, done: Done, found: bool) -> None:
        self.done += 1
        self.inside.pop(done.cell.place, None)
        self.total += found
        self.first += done.outcome.readings[:1]
        for r in done.outcome.readings:
            if r.name.startswith("attacks.worst@"):
                self.worst = r if self.worst is None or r.value < self.worst.value else self.worst
        if done.times:
            self.times[done.cell.key] = done.times
        if not found and (done.outcome.error or done.outcome.skipped):
            what = "failed" if done.outcome.error else "not tested"
            reason = (done.outcome.error or done.outcome.skipped).partition("\n")[0]
            self._line(f"{done.cell.name.partition(':')[2]} {what}: {reason}")
        elif not found:
            self._number(done)
        self._refresh()

    def ended(self) -> None:
        if self.stop is not None:
            self.stop.disarm()

    def _number(self, done: Done) -> None:
        first = next(iter(done.outcome.readings), None)
        if first is not None:
            from holdfast.report.numbers import amount, interval
            from holdfast.report.words import label

            shown = (
                f"{amount(first.value, first.unit)} {interval(first.low, first.high, first.unit)}"
            )
            took = f"{done.outcome.seconds:.1f} s"
            threat = f" {first.threat}" if first.threat else ""
            doubt = f"  ({'; '.join(first.flags)})" if first.flags else ""
            self._line(f"{label(first.name)}{threat}  {shown}  n={first.n}  ({took}){doubt}")

    def status(self) -> str:
        """One line: how far, the worst so far, what runs, how long it will take."""
        left = self.left - (time.monotonic() - self.since)
        worst = ""
        if self.worst is not None:
            doubt = f" ({len(self.worst.flags)} self-checks failed)" if self.worst.flags else ""
            worst = f"worst so far {self.worst.threat} <= {self.worst.value:.1%}{doubt}   "
        runs = ", ".join([*self.inside.values()][:2]) or self.name
        return f"{self.done}/{self.total}   {worst}{runs}   eta {clock(left)}"

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(f"  {text}", markup=False, highlight=False)
        else:
            print(f"  {text}", file=self.stream, flush=True)

    def _refresh(self) -> None:
        if self._bar is not None:
            self._bar.update(0, completed=self.done, total=self.total, description=self.status())

    def _beat(self) -> None:
        pause = 1.0 if self._bar is not None else EVERY
        while not self._halt.wait(pause):
            self._refresh()
            if self._bar is None:
                self._line(self.status())

    def __enter__(self) -> Self:
        if self.stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                BarColumn(18),
                TextColumn("{task.description}", markup=False),
                console=Console(file=self.stream),
                transient=True,
            )
            self._bar.add_task("reading", total=None)
            self._bar.start()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._halt.set()
        if self._bar is not None:
            self._bar.stop()
