"""Row by row: behind the pass in which a row broke, no pass holds it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from holdfast.attacks.chain import Chain
from holdfast.attacks.ead import EAD
from holdfast.attacks.fab import FAB
from holdfast.attacks.fmn import FMN
from holdfast.attacks.hopskipjump import HopSkipJump
from holdfast.attacks.pgd import PGD
from holdfast.attacks.transfer import Transfer
from holdfast.core.catalog import entries
from holdfast.core.goal import Goal, Outputs
from holdfast.core.kinds import Attack, Threat
from holdfast.testing.conform import subject_of
from holdfast.testing.laws.attack_scenes import World, able, brief
from holdfast.testing.worlds import Images, three_class
from holdfast.threats.ball import Additive
from holdfast.threats.norms import L1, L2, LInf

ATTACKS = {e.key: e for e in entries("attack")}


class Book:
    """Counts the calls of a model, and remembers in which of them each row was seen and won."""

    def __init__(self, x: Tensor, threat: Threat) -> None:
        self.x, self.threat, count = x, threat, len(x)
        self.call, self.seen, self.slope = 0, x, False
        self.looks = 0  # all calls, and that in which each row was first won
        self.won = torch.full((count,), -1)
        self.first = torch.full((count,), -1)  # the call in which the row was first won
        self.last = torch.full((count,), -1)  # the last call in which it was seen
        self.point = x.clone()  # the input that won it
        self.judged = torch.zeros(count, dtype=torch.bool)  # whether it was seen there once more

    def look(self, x: Tensor) -> None:
        """A call; the same once more straight after is none: the mean of a model that draws."""
        slope, self.looks = torch.is_grad_enabled(), self.looks + 1
        same = x.shape == self.seen.shape and bool((x == self.seen).all()) and slope == self.slope
        self.call, self.seen, self.slope = self.call + (not same), x, slope

    def enter(self, rows: Tensor, won: Tensor) -> None:
        verdict = self._verdict(rows)
        self.judged[rows[verdict]] = True
        self.last[rows[~verdict]] = self.call
        new = won & self._admissible(rows) & (self.first[rows] < 0)
        self.first[rows[new]], self.won[rows[new]] = self.call, self.looks
        if len(self.seen) == len(rows):
            self.point[rows[new]] = self.seen[new].detach()

    def _verdict(self, rows: Tensor) -> Tensor:
        """Rows that are looked at once more at the very point that won them, without a slope.

        What counts is the model's call: a goal may read the same outputs several times.
        """
        if self.slope or len(self.seen) != len(rows):
            return torch.zeros(len(rows), dtype=torch.bool)
        same = ((self.seen - self.point[rows]).abs() <= 1e-9).flatten(1).all(1)
        return same & (self.won[rows] >= 0) & (self.won[rows] < self.looks) & ~self.judged[rows]

    def _admissible(self, rows: Tensor) -> Tensor:
        """Changes that are added may leave the threat on the way: only inside it a row breaks."""
        if not isinstance(self.threat, Additive) or len(self.seen) != len(rows):
            return torch.full((len(rows),), isinstance(self.threat, Additive) is False)
        clean = self.x[rows]
        return self.threat.take(rows).size(clean, self.seen.detach() - clean) <= 1 + 1e-9

    @property
    def late(self) -> Tensor:
        """Rows that were seen in a call behind the one in which they broke."""
        return ((self.first >= 0) & (self.last > self.first)).nonzero().flatten()


@dataclass(frozen=True, eq=False)
class Signed(Goal):
    """A goal whose rows keep their names, however often they are selected and repeated."""

    goal: Goal
    rows: Tensor
    book: Book

    def ways(self, outputs: Outputs) -> Tensor:
        ways = self.goal.ways(outputs)
        if not torch._C._functorch.is_batchedtensor(ways):
            self.book.enter(self.rows, ways.detach().amax(-1) >= 0)
        return ways

    def take(self, rows: Tensor | slice) -> Signed:
        return Signed(self.goal.take(rows), self.rows[rows], self.book)

    def linear(self, classes: int) -> tuple[Tensor, Tensor]:
        return self.goal.linear(classes)


def watched(method: Attack, world: World, threat: Threat) -> Book:
    """What an attack does with the rows of a world that are safe without a change."""
    with torch.no_grad():
        safe = (world.goal(world.model(world.x)) < 0).nonzero().flatten()
    book = Book(world.x[safe], threat)

    def model(x: Tensor) -> Tensor:
        book.look(x)
        return world.model(x)  # type: ignore[no-any-return]

    goal = Signed(world.goal.take(safe), torch.arange(len(safe)), book)
    method(model, world.x[safe], goal, threat.take(safe))
    return book


@pytest.mark.parametrize("key", ATTACKS)
def test_a_broken_row_is_in_no_later_pass(key: str) -> None:
    method, late, judged = brief(subject_of(ATTACKS[key])), 0, 0
    for world, threat in able(method)[:2]:
        # Twice as wide, rows break on the way that the first radius is too narrow for.
        for reach in (threat, threat.scaled(2)) if isinstance(threat, Additive) else (threat,):
            if not getattr(threat, "coupled", False):
                book = watched(method, world, reach)
                late, judged = late + len(book.late), judged + int(book.judged.sum())
    assert not late, f"{late} rows of {key} were passed after they had broken"
    # Attacks in a row judge what each of them hands back, as a search does; no other may.
    assert isinstance(method, Chain) or not judged, f"{key} looked at {judged} changes once more"


OTHERS = (  # settings of their own, under which more points are seen on the way
    (FAB(steps=8, overshoot=0.5), LInf, 0.05), (FAB(steps=4, restarts=2, aim="each"), L2, 0.6),
    (Transfer(steps=6, ahead=True, scales=2), L2, 0.6),
    (Transfer(steps=6, ahead=True, diversity=0.5), LInf, 0.3),
    (FMN(start="attack:fab", steps=4), L2, 0.3), (EAD(steps=20, rounds=3), L1, 2.0),
    (HopSkipJump(steps=1), LInf, 0.1),
)  # fmt: skip


@pytest.mark.parametrize(("method", "ball", "radius"), OTHERS)
def test_no_point_that_is_seen_on_the_way_is_lost(method, ball, radius) -> None:  # type: ignore[no-untyped-def]
    won = 0
    for seed in (0, 1, 2, 3):
        images = getattr(method, "diversity", 0) or seed % 2
        make = Images.make if images else three_class
        book = watched(method, make(seed=seed, rows=16), ball(radius=radius))
        won += int((book.first >= 0).sum())
        assert not len(book.late) and not book.judged.any()
    assert won


def test_a_loop_without_an_active_set_is_caught() -> None:
    class Careless(PGD):
        def __call__(self, model, x, goal, threat, *, dice=None):  # type: ignore[no-untyped-def]
            change = threat.none(x)
            for _ in range(8):
                moved = change.clone().requires_grad_()
                goal(threat.through(model, x, moved)).sum().backward()
                step = threat.steepest(x, change, moved.grad)
                change = threat.project(x, change + 0.3 * step).detach()
            return change

    world, threat = able(PGD())[0]
    assert len(watched(Careless(), world, threat).late)
    book = watched(PGD(), world, threat)
    assert (book.first >= 0).any() and not len(book.late)
