"""How cost and memory grow: with rows of a streamed audit, with cells, with workers.

    python benchmarks/scale.py           # all three; each writes its section of the page
    python benchmarks/scale.py rows      # 10^5, 3*10^5 and 10^6 rows; a process of its own each
    python benchmarks/scale.py cells     # 10,000 cells that do nothing, here and on two workers
    python benchmarks/scale.py workers   # cells of a second each on one worker and on two

Seconds of the processor are those of all processes: a busy machine leaves them alone. Efficiency is
one of the clock and needs two cores that have nothing else to do.
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
from page import write
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
MOST = 500  # MB
_ROWS = """\
A streamed audit of generated Parquet rows, 16 columns, a linear model: accuracy, classes,
calibration and one step of an attack, one thread. Most of the memory is torch and Python; what is
to be shown is that it stays, and that time is linear."""
_CELLS = "Cells that do nothing, with a store; seconds of the driver and of all workers."
_WORKERS = """\
Cells of one second of work on processes of this machine. Share of work: seconds of work by all of
the processor's; the rest is the start of workers and the driver. Efficiency: clock on one worker by
workers times clock, starts included; other work on the machine lowers it."""
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
    lines = [
        "| rows | cpu s | us of cpu a row | peak memory MB | results MB |",
        "|---|---|---|---|---|",
    ]
    for count in ROWS:
        with tempfile.TemporaryDirectory() as name:
            lay(folder := Path(name), count)
            words = [*LINE.split(), "--profile", "suite.toml"]
            line = [sys.executable, __file__, "one", *words]
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True)
            cpu, peak = map(float, done.stdout.split()[-2:])
            kept = sum(f.stat().st_size for f in folder.glob(".holdfast/rows/*/*")) / 1e6
            each = 1e6 * cpu / count
            lines.append(f"| {count:,} | {cpu:.1f} | {each:.1f} | {peak:.0f} | {kept:.1f} |")
    write("Scale: rows", f"{_ROWS}\n\n" + "\n".join(lines))


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
    lines = ["| where | cells | ms of cpu a cell | ms of clock a cell | driver's peak MB | goal |"]
    lines.append("|---|---|---|---|---|---|")
    for name, executor in (("local:2", Local(2, subject)), ("here", Here())):
        cpu, wall = asked(count, 0.0, executor)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        each = f"{1e3 * cpu / count:.2f} | {1e3 * wall / count:.2f}"
        lines.append(f"| {name} | {count:,} | {each} | {peak:.0f} | <= {MOST} |")
    write("Scale: cells", f"{_CELLS}\n\n" + "\n".join(lines))


def workers(count: int = 60, work: float = 1.0) -> None:
    """What a second worker gains, and what share of the processor's seconds goes into cells."""
    lines = ["| workers | work s | cpu s | share of work | clock s | efficiency | goal |"]
    lines.append("|---|---|---|---|---|---|---|")
    alone = 0.0
    for number in (1, 2):
        cpu, wall = asked(count, work, Local(number, subject))
        alone = alone or wall
        gained = f"{wall:.1f} | {alone / (number * wall):.2f} | {'>= 0.9' if number > 1 else ''}"
        lines.append(
            f"| {number} | {count * work:.0f} | {cpu:.1f} | {count * work / cpu:.2f} | {gained} |"
        )
    write("Scale: workers", f"{_WORKERS}\n\n" + "\n".join(lines))


if __name__ == "__main__":
    parts = {"rows": rows, "cells": cells, "workers": workers}
    if sys.argv[1:2] == ["one"]:
        one(sys.argv[2:])
    elif sys.argv[1:]:
        parts[sys.argv[1]]()
    else:  # a process of its own each: memory that one has used is not that of the next
        for part in parts:
            subprocess.run([sys.executable, __file__, part], check=True)
