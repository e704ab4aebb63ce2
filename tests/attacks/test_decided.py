"""Row by row: behind the pass in which a row broke, no pass holds it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import entries
from holdfast.core.goal import Goal, Outputs
from holdfast.core.kinds import Attack, Threat
from holdfast.testing.conform import subject_of
from holdfast.testing.laws.attack_scenes import World, able, brief
from holdfast.threats.ball import Additive

ATTACKS = {e.key: e for e in entries("attack")}
# Why an attack may look at a row that it has broken.
EXEMPT: dict[str, str] = {
    "attack:ni-fgsm": "slopes are taken at a point ahead of the change, whose margin is not kept",
    "attack:deepfool-fmn": "its start goes on to the boundary, also of rows it breaks on the way",
    "attack:ead": "slopes are taken at a point ahead of the change, whose margin is not kept",
    "attack:hopskipjump": "probes around a change estimate a normal; one that wins is not kept",
}


class Book:
    """Counts the calls of a model, and remembers in which of them each row was seen and won."""

    def __init__(self, x: Tensor, threat: Threat) -> None:
        self.x, self.threat, count = x, threat, len(x)
        self.call, self.seen = 0, x
        self.first = torch.full((count,), -1)  # the call in which the row was first won
        self.last = torch.full((count,), -1)  # the last call in which it was seen

    def enter(self, rows: Tensor, won: Tensor) -> None:
        self.last[rows] = self.call
        won = won & self._admissible(rows)
        new = rows[won & (self.first[rows] < 0)]
        self.first[new] = self.call

    def _admissible(self, rows: Tensor) -> Tensor:
        """Changes that are added may leave the threat on the way: only inside it a row breaks."""
        if not isinstance(self.threat, Additive) or len(self.seen) != len(rows):
            return torch.full((len(rows),), isinstance(self.threat, Additive) is False)
        clean = self.x[rows]
        return self.threat.take(rows).size(clean, self.seen.detach() - clean) < 1 - 1e-9

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
        book.call, book.seen = book.call + 1, x
        return world.model(x)  # type: ignore[no-any-return]

    goal = Signed(world.goal.take(safe), torch.arange(len(safe)), book)
    method(model, world.x[safe], goal, threat.take(safe))
    return book


@pytest.mark.parametrize("key", ATTACKS)
def test_a_broken_row_is_in_no_later_pass(key: str) -> None:
    method, late = brief(subject_of(ATTACKS[key])), 0
    if getattr(method, "smallest", False):
        pytest.skip("goes on to shrink the changes of rows that it has broken")
    for world, threat in able(method)[:2]:
        if not getattr(threat, "coupled", False):
            late += len(watched(method, world, threat).late)
    assert bool(late) == (key in EXEMPT), f"{late} rows of {key} were passed after they had broken"


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
