"""Idle processes take pieces of a long search off the hands of busy ones; nothing else changes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from tests.run.doubles import Says, subject, suite
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Check
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run import keeper as keepers
from holdfast.run.executors import Here, Local
from holdfast.run.keeper import Keeper, Over, kept
from holdfast.run.pieces import CHUNK, FEW, at_once
from holdfast.run.search import Found, search
from holdfast.run.store import Store
from holdfast.run.suite import audit
from holdfast.run.watch import timed, watched
from holdfast.run.writing import plain
from holdfast.threats.norms import LInf

ROWS = 32


class Slow(nn.Module):
    """Takes a moment for each pass, and writes down which process it was in."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(6, 3, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        if LOG:
            time.sleep(0.03)
            with open(LOG[0], "a") as file:
                file.write(f"{os.getpid()}\n")
        return torch.tanh(3 * x) @ self.weight


LOG: list[str] = []


def sought(log: str = "") -> Found:
    LOG[:] = [log] if log else []
    net, x = Slow(), torch.rand(ROWS, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        goal = Untargeted((torch.tanh(3 * x) @ net.weight).argmax(1))
    dice = Dice.of(ROWS, seed=5)
    return search(PGD(steps=6), net, x, goal, LInf(radius=0.05), dice=dice, chunk=4)


def task(log: str, asked: Subject) -> None:
    sought(log)


def same(a: Found, b: Found) -> bool:
    """Everything but seconds."""
    lists = [[replace(s, seconds=0.0) for s in found.stages] for found in (a, b)]
    names = ("change", "margin", "clean", "finite", "by")
    equal = all(torch.equal(getattr(a, n), getattr(b, n)) for n in names)
    return equal and a.passes == b.passes and lists[0] == lists[1]


def test_helpers_make_pieces_that_this_process_then_reads(tmp_path: Path) -> None:
    alone, folder, log = sought(), tmp_path / "pieces", str(tmp_path / "log")
    folder.mkdir()
    keeper = Keeper(folder)
    with Local(2, subject).helped(partial(task, log), folder), kept(keeper):
        for _ in range(300):
            if len(list(folder.glob("*.safetensors"))) >= 2:
                break
            time.sleep(0.1)
        shared = sought(log)
    assert same(alone, shared) and alone.broken.any() and not alone.broken.all()
    pids = Path(log).read_text().split()
    assert len(set(pids)) == 2 and str(os.getpid()) in pids
    assert keeper.resumed == 0, "what helpers made is not called an earlier attempt"


@settings
class Long(Check):
    """One search that takes seconds."""

    question: ClassVar[str] = "?"
    section: ClassVar[str] = "attacks"
    log: str = ""

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        found = sought(self.log)
        timed("ledger-x", found.stages)
        value = float(found.margin.double().sum())
        yield Finding(severity=Severity.INFO, says=f"{found.passes}", readings=(
            Reading(name="sum", value=value, low=value, high=value, n=ROWS),))  # fmt: skip

    def cost(self, subject: Subject) -> float:
        return 1e6


class Heard:
    """Remembers what an audit tells."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, int]] = []
        self.times: list[dict[str, dict[str, float]]] = []

    def planned(self, cells: object, seconds: float) -> None: ...

    def begins(self, cell: object, left: float) -> None: ...

    def ended(self) -> None: ...

    def within(self, cell, done, count, broken):  # type: ignore[no-untyped-def]
        self.rows.append((cell.name, done, count))

    def finished(self, done, found):  # type: ignore[no-untyped-def]
        self.times.append(done.times)


def test_an_idle_worker_helps_with_the_last_cell_of_an_audit(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    asked, heard, store = suite(Says(), Long(log=log)), Heard(), Store(tmp_path / "store")
    both = audit(asked, subject(), store=store, executor=Local(2, subject), progress=heard)
    shared = set(Path(log).read_text().split())
    alone = audit(suite(Says(), Long()), subject())
    assert [plain(o.findings) for o in both.outcomes] == [plain(o.findings) for o in alone.outcomes]
    assert len(shared) == 2, "the idle one took pieces"
    assert any(0 < done < count for _, done, count in heard.rows), "and the audit was told"
    assert not list(store.pieces.rglob("*.safetensors"))


@pytest.mark.parametrize("folder", ["", "store"])
def test_an_audit_here_tells_rows_within_a_cell_and_keeps_seconds(tmp_path, folder) -> None:  # type: ignore[no-untyped-def]
    store = Store(tmp_path / folder) if folder else None
    for _ in range(2):
        heard = Heard()
        audit(suite(Long()), subject(), store=store, progress=heard, executor=Here())
        (times,) = heard.times
        assert set(times["ledger-x"]) >= {"clean", "attack:pgd"}
        assert all(seconds > 0 for seconds in times["ledger-x"].values())
    steps = [done for _, done, _ in heard.rows]
    assert (steps == [0, *range(4, ROWS + 1, 4)]) is not bool(folder), "a kept cell tells none"


def test_a_guest_ends_when_its_host_has_finished(tmp_path: Path) -> None:
    gone = Keeper(tmp_path / "gone", guest=True)
    with pytest.raises(Over), kept(gone):
        sought()
    assert not (tmp_path / "gone").exists()


def test_without_locks_every_process_does_every_piece(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(keepers, "fcntl", None)
    with kept(Keeper(tmp_path)):
        assert same(sought(), sought())


def test_the_nearest_listener_hears_and_no_other() -> None:
    told: list[tuple[int, int, int]] = []
    with watched(lambda *now: told.append(now)), watched(None):
        sought()
    assert not told
    with watched(lambda *now: told.append(now)):
        sought()
    assert told[0] == (0, ROWS, 0) and told[-1][:2] == (ROWS, ROWS)


def test_the_size_of_pieces_follows_from_model_and_rows_alone() -> None:
    small, large = nn.Linear(4, 4), nn.Linear(600, 600)
    assert at_once(small, torch.rand(9, 4)) == CHUNK
    assert at_once(large, torch.rand(9, 600)) == FEW
    assert at_once(small, torch.rand(9, 3, 32, 32)) == FEW
    assert at_once(lambda x: x, torch.rand(0, 4)) == CHUNK
