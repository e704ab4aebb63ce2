"""How cost and memory grow: with rows of a streamed audit, with cells, with workers.

    python benchmarks/scale.py rows      # 10^5, 3*10^5 and 10^6 rows; a process of its own each
    python benchmarks/scale.py cells     # 10,000 cells that do nothing, here and on two workers
    python benchmarks/scale.py workers   # cells of a second each on one worker and on two

Seconds are those of the processor (of all processes): they are what a busy machine leaves alone.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.fields import settings
from holdfast.core.kinds import Check
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run.executors import Executor, Here, Local
from holdfast.run.store import Store
from holdfast.run.suite import Suite, audit

ROWS = (100_000, 300_000, 1_000_000)
SHARD, WIDTH, CLASSES = 50_000, 16, 3
SUITE = """
[[check]]
use = "check:clean"
[[check]]
use = "check:slices"
[[check]]
use = "check:calibration"
[[check]]
use = "check:worst-case"
attacks = ["attack:fgsm"]
"""
NET = f"from torch import nn\n\n\ndef build():\n    return nn.Linear({WIDTH}, {CLASSES})\n"
LINE = "audit net.pt --arch net.py:build --data shards --threat linf:0.02 --stream --exit-zero"


def lay(folder: Path, rows: int) -> None:
    """Shards of generated rows, and a model that is right on most of them."""
    import duckdb

    (folder / "shards").mkdir(parents=True)
    for number, start in enumerate(range(0, rows, SHARD)):
        draw, many = np.random.default_rng(number), min(SHARD, rows - start)
        y, x = draw.integers(0, CLASSES, many), draw.random((many, WIDTH), dtype=np.float32)
        x = 0.6 * x
        x[np.arange(many), y] += 0.35
        table = {f"c{k}": x[:, k].copy() for k in range(WIDTH)} | {"y": y}
        with duckdb.connect() as base:
            base.register("made", table)
            file = folder / "shards" / f"{number:05d}.parquet"
            base.execute(f"copy (select * from made) to '{file}' (format parquet)")
    weight = torch.eye(CLASSES, WIDTH) * 8
    torch.save({"weight": weight, "bias": torch.zeros(CLASSES)}, folder / "net.pt")
    (folder / "net.py").write_text(NET)
    (folder / "suite.toml").write_text(SUITE)


def rows() -> None:
    """One streamed audit after the other, each in a process and a folder of its own."""
    print(f"{'rows':>10} {'cpu s':>8} {'wall s':>8} {'us/row':>8} {'peak MB':>8} {'kept MB':>8}")
    for count in ROWS:
        with tempfile.TemporaryDirectory() as name:
            lay(folder := Path(name), count)
            words = [*LINE.split(), "--profile", "suite.toml"]
            begun = time.monotonic()
            line = [sys.executable, __file__, "one", *words]
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True)
            wall = time.monotonic() - begun
            cpu, peak = map(float, done.stdout.split()[-2:])
            kept = sum(f.stat().st_size for f in folder.glob(".holdfast/rows/*/*")) / 1e6
            each = 1e6 * cpu / count
            print(
                f"{count:>10,} {cpu:>8.1f} {wall:>8.1f} {each:>8.1f} {peak:>8.0f} {kept:>8.1f}",
                flush=True,
            )


def one(words: list[str]) -> None:
    """A command in this process, and what it cost."""
    from holdfast.cli.front import run

    sys.path.insert(0, str(Path.cwd()))
    code = run(words)
    used = resource.getrusage(resource.RUSAGE_SELF)
    if code:
        sys.exit(code)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)


@settings
class Trivial(Check):
    """Says its number; works for so many seconds of the processor first."""

    question: ClassVar[str] = "What is its number?"
    section: ClassVar[str] = "clean"
    number: int = 0
    work: float = 0.0

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        start = time.process_time()
        while time.process_time() - start < self.work:
            pass
        value = float(self.number)
        reading = Reading(name=f"n{self.number}", value=value, low=value, high=value, n=1)
        yield Finding(severity=Severity.INFO, says="So it is.", readings=(reading,))


def subject() -> Subject:
    """Next to nothing."""
    torch.manual_seed(0)
    batches = Batches(x=torch.rand(8, 4), y=torch.arange(8) % 2)
    return Subject(model=nn.Linear(4, 2), batches=batches, about={"name": "nothing"})


def asked(count: int, work: float, executor: Executor) -> tuple[float, float]:
    """CPU seconds of all processes, and those of the clock."""
    made = Suite("scale", tuple(Trivial(number=k, work=work) for k in range(count)))
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name))
        store.ledger.open_run("r", "i", "m", "s", "2020", {})
        spent, begun = _cpu(), time.monotonic()
        report = audit(made, subject(), executor=executor, store=store, run="r")
        for child in multiprocessing.active_children():
            child.join(60)  # what it has used is counted once it is gone
        assert len(report.outcomes) == count and not any(o.error for o in report.outcomes)
        return _cpu() - spent, time.monotonic() - begun


def _cpu() -> float:
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, both))


def cells(count: int = 10_000) -> None:
    """The cost of a cell that does nothing, and what the driver holds."""
    for name, executor in (("local:2", Local(2, subject)), ("here", Here())):
        cpu, wall = asked(count, 0.0, executor)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"{name:>8}: {count:,} cells, {1e3 * cpu / count:.2f} ms of cpu and "
            f"{1e3 * wall / count:.2f} ms of the clock each, driver peak {peak:.0f} MB", flush=True,
        )  # fmt: skip


def workers(count: int = 24, work: float = 1.0) -> None:
    """What share of the processor's seconds goes into cells, on one worker and on two."""
    for number in (1, 2):
        cpu, wall = asked(count, work, Local(number, subject))
        print(
            f"local:{number}: {count * work:.0f} s of work took {cpu:.1f} s of cpu "
            f"(share {count * work / cpu:.2f}) and {wall:.1f} s of the clock", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(sys.argv[2:])
    else:
        {"rows": rows, "cells": cells, "workers": workers}[sys.argv[1]]()
