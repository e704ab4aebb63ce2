"""One cell: a question asked, and whatever the check does, an outcome."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from holdfast.core.errors import Contradiction, HoldfastError, MissingExtra, Unsupported
from holdfast.core.records import Finding, Outcome, Subject
from holdfast.run.keeper import Keeper, kept
from holdfast.run.load import clock
from holdfast.run.plan import Cell
from holdfast.run.rows import Table, heard
from holdfast.run.stages import Times
from holdfast.run.watch import watched

WORTH = 1.0  # seconds; pieces of a search that took less are done again after a crash
SHARED = 0.05  # seconds; the same where others may help: what took less is done by each of them
Within = Callable[[Cell, int, int, int], None]  # rows done, of how many, how many of them broken
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
        times: what the stages of its ledgers took, which its findings leave out.
        rows: its numbers row by row, as far as the check told them.
        alone: seconds that it took, less those in which it waited for a processor; 0 if unknown.
    """

    cell: Cell
    outcome: Outcome
    trace: str = ""
    lasting: bool = True
    times: Times = field(default_factory=dict)
    rows: Table = field(default_factory=dict)
    alone: float = 0.0


def perform(
    cell: Cell, subject: Subject, within: Within | None = None, *, shared: bool = False
) -> Done:
    """Ask one question; whatever a check does, this returns an outcome.

    Args:
        cell: the question.
        subject: what it is asked about.
        within: told how far each search of it is.
        shared: whether other processes may help with its searches.

    Raises:
        Contradiction: the one thing that must end the audit.
    """
    start, quietly = time.perf_counter(), clock()
    findings: tuple[Finding, ...] = ()
    error, skipped, trace, lasting = "", cell.skipped, "", not cell.skipped
    keeper = None
    if cell.pieces:
        keeper = Keeper(Path(cell.pieces), SHARED if shared else WORTH, shared=shared)
    listener = partial(within, cell) if within else None
    with kept(keeper), heard() as rows, watched(listener) as watch:
        try:
            findings = () if skipped else tuple(cell.check(subject))
        except Contradiction:
            raise
        except (Unsupported, MissingExtra) as no:
            skipped, lasting = f"{no.says}\n{no.fix}".strip(), isinstance(no, Unsupported)
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
    told = rows if findings else {}
    return Done(cell, outcome, trace, lasting, watch.times, told, clock() - quietly)


def _nowhere(text: str) -> str:
    """A message without addresses and folders, so that it is the same everywhere."""
    return _FOLDERS.sub("", _ADDRESS.sub("0x...", text))


def _trace() -> str:
    return traceback.format_exc()
