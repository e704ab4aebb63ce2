"""The ensemble: its ledger, its indifference to other rows, and what it does without slopes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks import tiers
from holdfast.attacks.arms import ARMS, RANKED, armed, arms
from holdfast.attacks.ensemble import AdaptiveEnsemble
from holdfast.attacks.pgd import PGD
from holdfast.attacks.square import Square
from holdfast.attacks.tiers import TIERS
from holdfast.core.dice import Dice
from holdfast.core.goal import AtLeast, Targeted, Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import staircase, three_class, two_class
from holdfast.threats.norms import L1, L2, LInf


def hard(classes: int = 6, rows: int = 40, size: int = 16) -> tuple[nn.Module, Tensor, Tensor]:
    """A small net with curved boundaries, and its own answers as labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(
            nn.Linear(size, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, classes)
        ).eval()
        x = torch.rand(rows, size)
        return model, x, model(x).argmax(1)


@pytest.mark.parametrize("threat", [LInf(radius=0.15), L2(radius=0.4), L1(radius=0.8)])
def test_it_breaks_what_pgd_and_square_break_together(threat) -> None:
    model, x, y = hard()
    goal = Untargeted(y)
    mine = search(AdaptiveEnsemble(), model, x, goal, threat)
    pgd = search(PGD(steps=100, restarts=3), model, x, goal, threat)
    both = search(Square(steps=500), model, x, goal, threat, since=pgd)
    assert 0 < int(both.broken.sum()) < len(x)
    assert not (both.broken & ~mine.broken).any()


@pytest.mark.parametrize("tier", list(TIERS))
def test_the_ledger_sums_to_the_passes_and_names_who_broke_each_row(tier) -> None:
    model, x, y = hard()
    seen = {"forwards": 0}

    def counted(z: Tensor) -> Tensor:
        seen["forwards"] += len(z)
        return model(z)

    found = search(AdaptiveEnsemble(tier=tier), counted, x, Untargeted(y), LInf(radius=0.15))
    assert sum(s.forwards for s in found.stages) == found.passes.forwards == seen["forwards"]
    assert sum(s.backwards for s in found.stages) == found.passes.backwards
    assert torch.equal(found.by >= 0, found.broken)
    for place, stage in enumerate(found.stages):
        assert stage.broken == int((found.by == place).sum())


def test_hopeless_rows_are_set_aside_and_counted_but_not_by_the_thorough_tier() -> None:
    model, x, y = hard()
    aside = {}
    for tier in TIERS:
        found = search(AdaptiveEnsemble(tier=tier), model, x, Untargeted(y), LInf(radius=0.1))
        aside[tier] = sum(s.aside for s in found.stages)
        assert aside[tier] <= int((~found.broken).sum())
    assert aside["standard"] > 0 and aside["thorough"] == 0


def test_other_rows_change_nothing() -> None:
    world = three_class(rows=12)
    ensemble, threat = AdaptiveEnsemble(), LInf(radius=0.04)
    whole = search(ensemble, world.model, world.x, world.goal, threat)
    for chunk in (1, 5):
        parts = search(ensemble, world.model, world.x, world.goal, threat, chunk=chunk)
        assert torch.equal(parts.broken, whole.broken)
        assert (parts.margin - whole.margin).abs().max() < 1e-9
    rows = torch.tensor([7, 2, 9])
    some = search(
        ensemble, world.model, world.x[rows], world.goal.take(rows), threat,
        dice=Dice.of(12).part(rows),
    )  # fmt: skip
    assert (some.margin - whole.margin[rows]).abs().max() < 1e-9


def test_an_undefended_row_costs_at_most_five_passes() -> None:
    model, x, y = hard()
    found = search(AdaptiveEnsemble(), model, x, Untargeted(y), LInf(radius=0.5))
    assert found.broken.all()
    assert (found.passes.forwards + found.passes.backwards) / len(x) <= 5


def test_two_classes_targets_and_scores() -> None:
    world = two_class(rows=16)
    needed = world.radius(float("inf"))
    radius = float(needed.median())
    found = search(AdaptiveEnsemble(), world.model, world.x, world.goal, LInf(radius=radius))
    assert torch.equal(found.broken, needed <= radius * (1 + 1e-9))
    model, x, y = hard()
    aim = Targeted((y + 1) % 6)
    assert search(AdaptiveEnsemble(), model, x, aim, LInf(radius=0.4)).broken.any()
    level = AtLeast(model(x)[:, 0].detach() + 0.01)
    assert search(AdaptiveEnsemble(), model, x, level, LInf(radius=0.4)).broken.all()
    assert len(arms(level, 1)) == 1 and len(arms(aim, 5)) == len(ARMS)


def test_without_slopes_it_asks() -> None:
    world = staircase(rows=12)
    found = search(AdaptiveEnsemble(), world.model, world.x, world.goal, LInf(radius=0.3))
    asked = search(Square(steps=400), world.model, world.x, world.goal, LInf(radius=0.3))
    assert asked.broken.any() and int(found.broken.sum()) >= int(asked.broken.sum())
    model, x, y = hard()

    def decides(z: Tensor) -> Tensor:
        return nn.functional.one_hot(model(z).argmax(1), 6).to(z)

    found = search(AdaptiveEnsemble(), decides, x, Untargeted(y), LInf(radius=0.3))
    assert found.broken.float().mean() > 0.5
    assert any("decisions" in s.name for s in found.stages)


@pytest.mark.parametrize("rank", range(len(RANKED)))
def test_an_arm_of_a_rank_climbs_the_way_of_that_rank(rank) -> None:
    model, x, y = hard()
    goal, outputs = Untargeted(y), model(x).detach()
    ways = goal.ways(outputs)
    which = torch.full((len(x),), ARMS.index(RANKED[rank]))
    climb = armed(which, ways.argsort(1, descending=True), 10)(0, torch.arange(len(x)))
    assert torch.equal(climb(goal, outputs), ways.sort(1, descending=True).values[:, rank])


def test_small_steps_at_the_end_come_nearer_and_cost_the_near_rows_alone(monkeypatch) -> None:
    model, x, y = hard()
    found = {}
    for settle in (0.0, 0.5):
        near = replace(tiers.TIERS["fast"], polish=0.0, settle=settle, rounds=())
        monkeypatch.setitem(tiers.TIERS, "fast", near)
        attack = AdaptiveEnsemble(tier="fast")
        found[settle] = search(attack, model, x, Untargeted(y), L2(radius=0.3))
    gain = found[0.5].margin - found[0.0].margin
    (stage,) = [s for s in found[0.5].stages if s.name.endswith("settle")]
    assert (gain >= 0).all() and 0 < int((gain > 0).sum()) <= stage.rows < len(x)
