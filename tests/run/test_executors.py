"""Wherever cells run, the outcomes are the same; a lost process loses no run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from tests.run.doubles import Says, Wants, subject, suite

from holdfast.core.errors import Contradiction, MissingExtra
from holdfast.core.fields import settings
from holdfast.core.kinds import Check
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run.executors import Here, Local
from holdfast.run.perform import _nowhere, perform
from holdfast.run.plan import plan
from holdfast.run.store import Store
from holdfast.run.suite import audit
from holdfast.run.writing import plain

ROOT = Path(__file__).parents[2]


@settings
class Computes(Check):
    """A number from the model, the rows and draws of its own."""

    question: ClassVar[str] = "What comes out?"
    section: ClassVar[str] = "clean"
    needs: ClassVar[tuple[str, ...]] = ("model", "batches")
    scale: float = 1.0

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        from holdfast.core.dice import Dice

        assert subject.model is not None and subject.batches is not None
        x = subject.batches.x
        noise = Dice(subject.seed, subject.batches.index, "computes").normal((4,))
        z = subject.model(x + self.scale * noise)
        value = float(z.detach().double().softmax(1).square().sum())
        reading = Reading(name=f"sum.{self.scale}", value=value, low=value, high=value, n=len(x))
        yield Finding(severity=Severity.INFO, says="The sum.", readings=(reading,))


@settings
class Dies(Check):
    """Ends its process, or only the first one that asks."""

    question: ClassVar[str] = "?"
    section: ClassVar[str] = "clean"
    once: str = ""

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if not self.once or not Path(self.once).exists():
            if self.once:
                Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield Finding(severity=Severity.INFO, says="It lives.")


def shown(report):
    return [plain(o) | {"seconds": 0} for o in report.outcomes]


def test_a_pool_gives_bit_for_bit_what_this_process_gives(tmp_path):
    checks = [Computes(scale=s) for s in (0.0, 0.5, 1.0)]
    checks += [Says(ends="crash"), Says(ends="unsupported"), Wants()]
    alone = audit(suite(*checks), subject())
    both = audit(suite(*checks), subject(), executor=Local(2, subject))
    assert shown(both) == shown(alone)
    for child in multiprocessing.active_children():
        child.join(60)
        assert not child.is_alive(), "workers outlive the audit"


def test_a_process_that_dies_costs_its_cell_one_more_try(tmp_path):
    checks = [Says(name="a"), Dies(once=str(tmp_path / "died")), Dies(), Says(name="b")]
    report = audit(suite(*checks), subject(), executor=Local(2, subject))
    first, once, always, last = report.outcomes
    assert first.readings and last.readings
    assert once.findings[0].says == "It lives." and not once.error
    assert always.error == "the process that ran it died twice"


def test_a_killed_process_costs_no_other_cell_anything(tmp_path):
    log, store = str(tmp_path / "log"), Store(tmp_path / "store")
    store.ledger.open_run("r", "i", "m", "s", "2020", {})
    long = [Says(name=f"long{k}", log=log, pause=1.0, dear=0.5) for k in range(2)]
    dies = [Dies(once=str(tmp_path / f"died{k}")) for k in range(3)]
    checks = [long[0], *dies, long[1]]
    pool = Local(2, subject)
    report = audit(suite(*checks), subject(), executor=pool, store=store, run="r")
    assert not any(o.error for o in report.outcomes)
    assert sorted(Path(log).read_text().split()) == ["long0", "long1"], "neither ran twice"
    with sqlite3.connect(store.ledger.path) as link:
        entered = [row for (row,) in link.execute("SELECT cell FROM cells")]
    assert len(entered) == len(set(entered)) == len(checks)


def test_a_contradiction_comes_back_with_both_witnesses():
    with pytest.raises(Contradiction) as caught:
        audit(suite(Says(ends="contradiction")), subject(), executor=Local(1, subject))
    assert caught.value.witnesses == {"attack": "1", "certificate": "2"}


def test_what_is_tried_again_is_not_kept():
    cells = plan((Says(), Says(ends="crash"), Says(ends="unsupported"), Wants()), subject())
    lasting = {c.place: perform(c, subject()).lasting for c in cells}
    assert lasting == {0: True, 1: False, 2: True, 3: False}

    class Lacks(Says):
        def __call__(self, subject):
            raise MissingExtra("kornia is missing", fix="pip install kornia")

    (cell,) = plan((Lacks(),), subject())
    done = perform(cell, subject())
    assert done.outcome.skipped.startswith("kornia") and not done.lasting


@pytest.mark.parametrize(("said", "kept"), [
    ("it broke at 0x7f001122aabb", "it broke at 0x..."),
    ("No such file: '/home/me/net.pt'", "No such file: 'net.pt'"),
    ("within linf:8/255 of a/b", "within linf:8/255 of a/b"),
    ("open /tmp/x/y/z.npz, /a/b", "open z.npz, b"),
])  # fmt: skip
def test_messages_hold_no_address_and_no_folder(said, kept):
    assert _nowhere(said) == kept


def test_cells_are_drawn_only_when_there_is_room():
    drawn = []

    def cells():
        for cell in plan(tuple(Says(name=n) for n in "abcd"), subject()):
            drawn.append(cell.check.name)
            yield cell

    running = Here().run(cells(), subject())
    next(running)
    assert drawn == ["a"]


ORPHANS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from holdfast.run.executors import Local
from holdfast.run.store import Store
from holdfast.run.suite import audit
from tests.run.doubles import Says, subject, suite

if __name__ == "__main__":
    checks = [Says(name="a"), *[Says(name=f"w{k}", pause=60.0, dear=5.0) for k in range(2)]]

    class Told:
        def planned(self, cells, seconds): pass
        def begins(self, cell, left): pass
        def ended(self): pass
        def within(self, *now): pass
        def finished(self, done, found):
            import multiprocessing
            print(*[p.pid for p in multiprocessing.active_children()], flush=True)

    audit(suite(*checks), subject(), executor=Local(2, subject), progress=Told())
"""


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    line = [sys.executable, str(script), str(ROOT)]
    parent = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    workers = [int(w) for w in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(map(alive, workers))
    parent.kill()
    parent.wait(60)
    for _ in range(200):
        if not any(map(alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(alive, workers))


def test_threads_of_torch_are_those_asked_for():
    assert Local(2, subject).threads == 1 and torch.get_num_threads() >= 1
