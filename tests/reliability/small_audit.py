"""An audit of many small cells through the product's own suite, store and ledger.

Only the checks are doubles: they cost nothing, so that a process can be killed a hundred times.
What keeps and finds again what they gave is what every audit uses.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.run.doubles import Says, subject, suite

from holdfast.report import render_json
from holdfast.run.document import document
from holdfast.run.gates import Gate
from holdfast.run.placeless import placeless
from holdfast.run.store import Store
from holdfast.run.suite import Suite, audit, identity
from holdfast.run.verdict import verdict

CELLS = 12
GATES = (Gate("r0", ">=", 0.4),)


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder that lies in memory where the system offers one.

    What a killed process has handed to the system stays there, so the disk behind it adds nothing
    but waiting.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def asked() -> Suite:
    """Checks that each give a reading of their own."""
    return suite(*(Says(name=f"r{k}", value=0.5 + k / 100) for k in range(CELLS)))


class Listens:
    """Tells the name of every cell that the audit calls finished."""

    def __init__(self, told: Callable[[str, bool], None]) -> None:
        self.told = told

    def planned(self, cells: object, seconds: float) -> None: ...

    def begins(self, cell: object, left: float) -> None: ...

    def within(self, cell: object, done: int, count: int, broken: int) -> None: ...

    def ended(self) -> None: ...

    def finished(self, done, found):  # type: ignore[no-untyped-def]
        self.told(done.cell.key, found)


def audited(folder: Path, told: Callable[[str, bool], None], name: str = "r") -> None:
    """One audit, from the entry of the run to its `results.json`."""
    store, about, questions = Store(folder), subject(), asked()
    whole = identity(questions, about)
    store.ledger.open_run(name, whole, "net", "double", "2026-01-02", {"data": "rows"})
    report = audit(questions, about, store=store, run=name, progress=Listens(told))
    judged = verdict(report.readings, GATES, report.outcomes, None)
    results = document(report, about, questions.checks, judged, gates_from="ours")
    store.keep(name, "results.json", render_json(placeless(results)))
    store.ledger.close_run(name, "2026-01-03", "finished", judged.word, judged.code)


def in_fork(folder: Path, spoil: Callable[[], None], name: str = "r") -> tuple[int, int]:
    """Begin an audit in a fork of this process.

    Args:
        folder: of the store.
        spoil: called in the fork before it begins.
        name: of the run.

    Returns:
        The process, and the end of a pipe that names each cell it finished and whether it was
        found, one a line.
    """
    heard, says = os.pipe()
    process = os.fork()
    if process:
        os.close(says)
        return process, heard
    code = 99

    def told(cell: str, found: bool) -> None:
        os.write(says, f"{cell} {found:d}\n".encode())

    try:
        os.close(heard)
        spoil()
        audited(folder, told, name)
        code = 0
    finally:
        os._exit(code)


def ended(process: int, heard: int) -> tuple[int, list[tuple[str, bool]]]:
    """Wait for a fork: its exit code (negative: the signal), and the cells it named."""
    _, status = os.waitpid(process, 0)
    with os.fdopen(heard) as file:
        lines = [line.split() for line in file.read().splitlines()]
    return os.waitstatus_to_exitcode(status), [(cell, found == "1") for cell, found in lines]
