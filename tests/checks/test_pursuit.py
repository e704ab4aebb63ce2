"""The ledger of a portfolio: attacks, what was found on views, and how small it may be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from holdfast.checks.differences import Estimated
from holdfast.checks.pursuit import pursue
from holdfast.checks.repair import Repaired
from holdfast.checks.siege import SHORTENED, besiege
from holdfast.checks.views import Inner, LogOdds, Mean, Snapped
from holdfast.core.catalog import build
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.testing.worlds import Images
from holdfast.threats.grammar import parse

THREAT, ROWS = parse("linf:0.2"), 10


class Counted(nn.Module):
    """A net that counts the rows it is sent, forward and back."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.forwards, self.backwards = net, 0, 0
        net.register_forward_hook(self._count)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net(x)
        return z

    def _count(self, module: nn.Module, args: tuple[Tensor], z: Tensor) -> None:
        self.forwards += len(z)
        if z.requires_grad:
            z.register_hook(self._back)

    def _back(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


def scene() -> tuple[Counted, Images]:
    world = Images.make(rows=ROWS)
    return Counted(world.model), world


def probable(model: Counted) -> LogOdds:
    """The logits of a net behind a softmax."""
    return LogOdds(nn.Sequential(model, nn.Softmax(1)))


VIEWS = {
    "mean": lambda m: Mean(m, 3), "differences": lambda m: Estimated(m, 0.01, samples=24),
    "log-probabilities": probable, "grid": lambda m: Snapped(m, 255), "inner": Inner,
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_passes_on_a_view_are_counted_in_passes_of_the_model(name: str) -> None:
    model, world = scene()
    view = VIEWS[name](model)  # type: ignore[no-untyped-call]
    plan = Repaired(model, THREAT, levels=255 if name == "grid" else 0)
    attack, goal = build("attack:pgd", steps=6), Untargeted(world.y)
    found = pursue(attack, plan, view, world.x, goal, dice=Dice.of(ROWS), name="pgd there")
    sums = [sum(getattr(s, n) for s in found.stages) for n in ("forwards", "backwards", "broken")]
    assert sums[:2] == [found.passes.forwards, found.passes.backwards]
    assert sums[2] == int(found.broken.sum()) > 0
    assert sums[:2] == [model.forwards, model.backwards]
    assert found.by is not None and torch.equal(found.by >= 0, found.broken)
    assert {s.name for s in found.stages} == {
        "clean", "pgd there", "pgd there: clean", "pgd there: judged", "pgd there: tried"
    }  # fmt: skip


def test_who_broke_a_row_is_told_apart() -> None:
    """One row is lost anyway, some fall on the view, none of which count where the judge stands."""
    model, world = scene()
    wrong = world.y.clone()
    wrong[0] = (wrong[0] + 1) % 5
    plan, attack = Repaired(model, THREAT), build("attack:pgd", steps=6)
    found = pursue(attack, plan, probable(model), world.x, Untargeted(wrong), dice=Dice.of(ROWS))
    names = [found.stages[k].name if k >= 0 else "" for k in found.by.tolist()]  # type: ignore[union-attr]
    assert names[0] == "clean" and "attack:pgd" in names[1:]

    def sure(x: Tensor) -> Tensor:
        z = torch.zeros(len(x), 5, dtype=x.dtype)
        return z.scatter(1, world.y[: len(x), None], 1.0)

    stands = pursue(attack, Repaired(sure, THREAT), model, world.x, Untargeted(world.y),
                    dice=Dice.of(ROWS))  # fmt: skip
    assert not stands.broken.any() and sum(s.broken for s in stands.stages) == 0


def test_the_ledger_of_a_portfolio_sums_to_the_tapped_count() -> None:
    model, world = scene()
    views = (("mean answer", Mean(model, 2)), ("log-probabilities", probable(model)))
    plan = Repaired(model, THREAT, views)
    attacks = (build("attack:pgd", steps=2, travel=0.5), "attack:deepfool")
    siege = besiege(attacks, model, world.x, world.y, THREAT, Dice.of(ROWS), plan)
    stages = siege.stages.values()
    assert sum(s.forwards for s in stages) == model.forwards
    assert sum(s.backwards for s in stages) == model.backwards
    assert sum(s.broken for s in stages) == int((~siege.standing).sum()) > 0
    asked = siege.stages[SHORTENED]
    assert asked.forwards == 7 * asked.rows and asked.broken == 0
    told = sum(int(line["forwards"] or 0) for line in siege.lines)
    assert told == model.forwards  # the table of attacks holds what shortening their changes cost


def test_rows_that_are_lost_anyway_are_not_measured() -> None:
    model, world = scene()
    siege = besiege(("attack:fgsm",), model, world.x, (world.y + 1) % 5, THREAT, Dice.of(ROWS))
    assert (siege.size == 0).all() and SHORTENED not in siege.stages
    assert model.forwards == sum(s.forwards for s in siege.stages.values()) == ROWS
