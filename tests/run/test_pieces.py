"""A search that is killed goes on where it was; several processes do one search, bit for bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from tests.run.doubles import subject, suite
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.attacks.square import Square
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Check
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run import perform
from holdfast.run.keeper import Keeper, kept
from holdfast.run.search import Found, search
from holdfast.run.store import Store
from holdfast.run.suite import audit
from holdfast.threats.norms import LInf

ROWS, CHUNK = 24, 4
THREAT = LInf(radius=0.05)


class Net(nn.Module):
    """Counts its calls, and ends its process at one of them."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(6, 3, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        SEEN.append(len(x))
        if len(SEEN) == DIES[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.tanh(3 * x) @ self.weight


SEEN: list[int] = []
DIES = [0]
ATTACK = PGD(steps=6, restarts=2)


def task() -> tuple[nn.Module, Tensor, Untargeted]:
    net, x = Net(), torch.rand(ROWS, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return net, x, Untargeted((torch.tanh(3 * x) @ net.weight).argmax(1))


def sought(keep: Keeper | None, attack: Attack = ATTACK, seed: int = 5, **more: object) -> Found:
    net, x, goal = task()
    SEEN.clear()
    dice = Dice.of(ROWS, seed=seed)
    return search(attack, net, x, goal, THREAT, dice=dice, chunk=CHUNK, keep=keep, **more)  # type: ignore[arg-type]


def same(a: Found, b: Found) -> bool:
    """Everything but seconds."""
    lists = [[replace(s, seconds=0.0) for s in found.stages] for found in (a, b)]
    tensors = zip((a.change, a.margin, a.clean, a.finite, a.by), (b.change, b.margin, b.clean, b.finite, b.by), strict=True)  # fmt: skip # noqa: E501
    equal = all(torch.equal(p, q) for p, q in tensors if p is not None and q is not None)
    return equal and a.passes == b.passes and lists[0] == lists[1]


def test_what_was_kept_is_read_and_not_attacked_again(tmp_path: Path) -> None:
    plain = sought(None)
    first = sought(Keeper(tmp_path))
    assert sum(SEEN) == plain.passes.forwards
    second = sought(Keeper(tmp_path))
    assert sum(SEEN) == ROWS, "only the clean margins are taken again"
    assert same(plain, first) and same(plain, second)
    assert plain.broken.any() and not plain.broken.all()


def test_another_attack_seed_or_model_finds_nothing(tmp_path: Path) -> None:
    sought(Keeper(tmp_path))
    for attack, seed in (
        (PGD(steps=6, restarts=2, travel=3.0), 5),
        (ATTACK, 6),
        (Square(steps=9), 5),
    ):
        found = sought(Keeper(tmp_path), attack, seed)
        assert sum(SEEN) == found.passes.forwards, f"{attack!r} read what another one kept"
        assert same(found, sought(None, attack, seed))
    net, x, goal = task()
    with torch.no_grad():
        net.weight += 1e-6
    SEEN.clear()
    dice = Dice.of(ROWS, seed=5)
    found = search(ATTACK, net, x, goal, THREAT, dice=dice, chunk=CHUNK, keep=Keeper(tmp_path))
    assert sum(SEEN) == found.passes.forwards


def test_damaged_pieces_are_made_again(tmp_path: Path) -> None:
    plain = sought(Keeper(tmp_path))
    files = sorted(tmp_path.glob("*.safetensors"))
    files[0].write_bytes(b"no piece")
    files[1].write_bytes(files[1].read_bytes()[:-7])
    assert same(plain, sought(Keeper(tmp_path))) and sum(SEEN) > ROWS


def test_progress_counts_rows_that_are_done_and_broken(tmp_path: Path) -> None:
    for keep in (None, Keeper(tmp_path), Keeper(tmp_path)):
        told: list[tuple[int, int, int]] = []
        found = sought(keep, progress=lambda *now, told=told: told.append(now))
        open_rows = int((found.clean < 0).sum())
        assert [t[0] for t in told] == [min(CHUNK * k, open_rows) for k in range(1, len(told) + 1)]
        assert told[-1] == (open_rows, open_rows, int(found.broken.sum()))


def test_cheap_pieces_are_not_kept(tmp_path: Path) -> None:
    sought(Keeper(tmp_path, worth=60.0))
    assert not list(tmp_path.glob("*.safetensors"))


def started(folder: Path, dies: int) -> int:
    """A process that does the search, and is killed in one of its passes unless that is 0."""
    process = os.fork()
    if process:
        return process
    try:
        DIES[0] = dies
        sought(Keeper(folder))
        os._exit(0)
    except BaseException:
        os._exit(1)


def ended(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_kill_9_loses_at_most_one_piece(tmp_path: Path) -> None:
    """Killed in the 40th pass; the pieces before it are there, and the rest is done."""
    assert ended(started(tmp_path, 40)) == -signal.SIGKILL
    before = len(list(tmp_path.glob("*.safetensors")))
    assert 1 <= before < ROWS // CHUNK
    plain = sought(None)
    whole = len(SEEN)
    assert same(plain, sought(Keeper(tmp_path)))
    assert len(SEEN) <= whole - 40 + 14 + 1, "more than one piece was done again"


def test_two_processes_share_a_search_and_agree_with_one(tmp_path: Path) -> None:
    """One of them is killed on the way: the other one takes over what it had claimed."""
    workers = [started(tmp_path, 30), started(tmp_path, 0)]
    ends = sorted(map(ended, workers))
    assert ends in ([-signal.SIGKILL, 0], [0, 0])
    plain = sought(None)
    assert same(plain, sought(Keeper(tmp_path))) and sum(SEEN) == ROWS


@settings
class Attacked(Check):
    """A search whose process ends the first time, behind its third piece."""

    question: ClassVar[str] = "?"
    section: ClassVar[str] = "attacks"

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        def stop(done: int, *_: int) -> None:
            if FUSE and done == FUSE[0]:
                FUSE.clear()
                raise KeyboardInterrupt

        found = sought(None, progress=stop)
        value = float(found.margin.sum())
        yield Finding(severity=Severity.INFO, says=f"{len(SEEN)}", readings=(
            Reading(name="sum", value=value, low=value, high=value, n=ROWS),))  # fmt: skip


FUSE: list[int] = []


def test_an_audit_goes_on_inside_a_cell(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(perform, "WORTH", 0.0)
    whole = audit(suite(Attacked()), subject()).outcomes[0]
    store = Store(tmp_path)
    FUSE[:] = [12]
    stopped = audit(suite(Attacked()), subject(), store=store).outcomes[0]
    assert stopped.skipped and len(list(store.pieces.rglob("*.safetensors"))) == 3
    after = audit(suite(Attacked()), subject(), store=store).outcomes[0]
    assert after.readings == whole.readings
    assert int(after.findings[0].says) < int(whole.findings[0].says)
    assert not list(store.pieces.iterdir()), "pieces of a finished cell are removed"


def test_the_keeper_of_the_block_is_used(tmp_path: Path) -> None:
    with kept(Keeper(tmp_path)):
        sought(None)
    assert list(tmp_path.glob("*.safetensors"))
