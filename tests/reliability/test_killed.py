"""A hundred times killed: no finished cell is lost, and the document ends as the same bytes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.reliability.small_audit import CELLS, audited, ended, in_fork, in_memory

from holdfast.run.cells import Cells
from holdfast.run.store import Store

KILLS = int(os.environ.get("HOLDFAST_SMALL_KILLS", "100"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and signals of Linux")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Counts:
    """Called at each step; the step numbered `last` is the last thing this process does."""

    def __init__(self, last: int = -1) -> None:
        self.last, self.steps = last, 0

    def __call__(self, *_: object) -> int:
        self.steps += 1
        if self.steps == self.last:
            die()
        return 0


def within_the_ledger(counts: Counts, patch: Callable[[object, str, Any], None]) -> None:
    """Count every instruction that SQLite carries out for the ledger."""
    connect = sqlite3.connect

    def watched(*given: Any, **more: Any) -> sqlite3.Connection:
        link = connect(*given, **more)
        link.set_progress_handler(counts, 1)
        return link

    patch(sqlite3, "connect", watched)


def within_a_file(counts: Counts, patch: Callable[[object, str, Any], None]) -> None:
    """Count every step by which a file of the store comes to its place."""
    for name in ("fsync", "replace", "chmod"):

        def step(*given: Any, call: Callable[..., None]) -> None:
            counts()
            call(*given)
            counts()

        patch(os, name, partial(step, call=getattr(os, name)))


WHERE = {"ledger": within_the_ledger, "file": within_a_file}


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    with in_memory() as folder:
        yield folder


@pytest.fixture(scope="module")
def straight(memory: Path) -> tuple[bytes, float, dict[str, int]]:
    """The document of an audit nobody disturbs, its seconds, and how many steps of each kind."""
    folder, steps = memory / "straight", {}
    audited(folder / "first", lambda cell, found: None)  # digests of sources are kept in memory
    for name, watch in WHERE.items():
        counts = Counts()
        with pytest.MonkeyPatch.context() as patch:
            watch(counts, patch.setattr)
            audited(folder / name, lambda cell, found: None)
        steps[name] = counts.steps
    begun = time.monotonic()
    assert ended(*in_fork(folder / "forked", lambda: None))[0] == 0
    seconds = time.monotonic() - begun
    documents = {f.read_bytes() for f in folder.rglob("results.json")}
    assert len(documents) == 1 and len(list(folder.rglob("results.json"))) == 4
    return documents.pop(), seconds, steps


def once(folder: Path, where: str, rng: random.Random, seconds: float, steps: int) -> Any:
    """Begin an audit and kill it; None if it had ended before that, else the cells it named."""
    if where == "any moment":
        process, heard = in_fork(folder, lambda: None)
        time.sleep(rng.uniform(0, seconds))
        os.kill(process, signal.SIGKILL)
    else:
        counts = Counts(rng.randint(1, steps))
        process, heard = in_fork(folder, lambda: WHERE[where](counts, setattr))
    code, named = ended(process, heard)
    assert code in (0, -signal.SIGKILL)
    return named if code else None


@pytest.mark.slow
def test_no_finished_cell_is_lost_in_a_hundred_kills(straight, memory, figure):
    expected, seconds, steps = straight
    rng, places = random.Random(9), ["any moment", "ledger", "any moment", "file"]
    kills = dict.fromkeys(places, 0)
    tried = finished = lost = repeated = torn = 0
    while sum(kills.values()) < KILLS:
        where = places[sum(kills.values()) % len(places)]
        tried += 1
        assert tried <= 3 * KILLS, "the audit ends before it can be killed"
        folder = memory / str(tried)
        named = once(folder, where, rng, seconds, steps.get(where, 0))
        if named is None:
            continue
        kills[where] += 1
        finished += len(named)
        whole = Cells(Store(folder).cells)
        lost += sum(whole.get(cell) is None for cell, _ in named)
        if (ledger := Store(folder).ledger.path).exists():
            with closing(sqlite3.connect(ledger)) as link:
                torn += link.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
                if named:
                    entered = {cell for (cell,) in link.execute("SELECT cell FROM cells")}
                    lost += len({cell for cell, _ in named} - entered)
        again: dict[str, bool] = {}
        audited(folder, again.__setitem__)
        repeated += sum(not again[cell] for cell, _ in named)
        assert (folder / "runs" / "r" / "results.json").read_bytes() == expected
        assert len(again) == CELLS and len(list(folder.rglob("*.part"))) <= 1
    told = ", ".join(f"{count} at {where}" for where, count in kills.items())
    figure("kill -9", f"{sum(kills.values())} ({told})")
    figure("cells finished before a kill", f"{finished}; lost: {lost}, repeated: {repeated}")
    figure("ledgers torn by a kill", torn)
    assert (lost, repeated, torn) == (0, 0, 0)
    assert finished > KILLS and min(kills.values()) >= KILLS // 4
