"""Patch search against enumeration of places, and the rectangle that must stay clear."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from holdfast.attacks.patches import PatchAttack
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.objectives.patch_training import FULL_LO
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.grammar import parse
from holdfast.threats.norms import LInf
from holdfast.threats.patch import Patch

SIDE, PATCH = 6, 2


def _world(rows=40, seed=0):
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 3)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(3, SIDE**2, generator=g, dtype=torch.float64))
        model[1].bias.zero_()
    x = torch.rand(rows, 1, SIDE, SIDE, generator=g, dtype=torch.float64)
    with torch.no_grad():
        y = model(x).argmax(1)
    return model, x, Untargeted(y)


def _truth(model, x, goal, threat):
    """`(B,)`: the largest margin over all allowed places, each pixel at its better end."""
    weight = model[1].weight.detach()
    rows = (goal.linear(3)[0] @ weight).reshape(len(x), -1, SIDE, SIDE)
    gain = torch.where(rows > 0, rows * (1 - x), -rows * x)
    ways = goal.ways(model(x)).detach()
    best = torch.full((len(x),), -torch.inf, dtype=torch.float64)
    for r, c in threat.allowed(x).nonzero().tolist():
        inside = gain[:, :, r : r + PATCH, c : c + PATCH].sum((2, 3))
        best = torch.maximum(best, (ways + inside).amax(1))
    return best


@pytest.mark.parametrize("clear", [None, (2, 2, 3, 3)])
def test_all_neighbours_reach_the_worst_place(clear):
    model, x, goal = _world()
    threat = Patch(height=PATCH, width=PATCH, clear=clear)
    truth = _truth(model, x, goal, threat)
    attack = PatchAttack(steps=12, rate=0.2, restarts=6, stride=1)
    found = search(attack, model, x, goal, threat)
    assert (found.margin <= truth + 1e-9).all()
    safe = truth < 0
    assert int(safe.sum()) >= 4 and found.broken[~safe].double().mean() >= 0.9


def test_the_place_stays_where_it_may_not_move():
    model, x, goal = _world(rows=4)
    threat = Patch(height=PATCH, width=PATCH, clear=(3, 3, 1, 1))
    middle = threat.corner(x, threat.none(x))
    change = PatchAttack(steps=3, place="fixed")(model, x, goal, threat)
    assert torch.equal(threat.corner(x, change), middle)
    assert (threat.size(x, change) <= 1).all()


def test_only_the_box_changes_and_the_clear_part_never():
    threat = Patch(height=3, width=2, clear=(2, 3, 3, 2))
    x = torch.rand(300, 2, 8, 9, dtype=torch.float64)
    change = threat.sample(x, Dice.of(300))
    touched = (threat.apply(x, change) != x).any(1)
    assert not touched[:, 2:5, 3:5].any()
    assert (touched.flatten(1).sum(1) == 6).all()
    assert len(threat.corner(x, change).unique(dim=0)) == int(threat.allowed(x).sum())


def test_projection_moves_the_place_to_the_nearest_allowed_one():
    threat, x = Patch(height=2, width=2, clear=(2, 2, 3, 3)), torch.zeros(500, 1, 7, 7).double()
    change = 2 * torch.rand(500, 7, dtype=torch.float64) - 0.5
    nearest = threat.project(x, change)
    assert (threat.size(x, nearest) <= 1).all()
    assert torch.equal(threat.project(x, nearest), nearest)
    others = threat.sample(x, Dice.of(500))
    at = threat.slices(x)["place"]
    # No admissible place is nearer by more than the thousandth of a pixel that is left out.
    far = (nearest[:, at] - change[:, at]).norm(dim=1)
    for row in range(0, 500, 50):
        best = (others[:, at] - change[row, at]).norm(dim=1).min()
        assert far[row] <= best + 1e-3


def test_the_grammar_says_what_stays_clear():
    threat = Patch(height=5, width=4, clear=(11, 11, 10, 10))
    assert parse(threat.spec) == threat and parse("patch:5x4:clear=11,11,10,10") == threat
    for words in (
        "5x5:clear=1,2",
        "5",
        "5x5:clear=a,b,c,d",
        "2x2:0..1:0..1",
    ):
        with pytest.raises(ConfigError, match="whole pixels"):
            parse(f"patch:{words}")


def test_no_place_left_and_no_patch_are_refused():
    model, x, goal = _world(rows=2)
    with pytest.raises(Unsupported, match="no place"):
        PatchAttack()(model, x, goal, Patch(height=4, width=4, clear=(3, 3, 1, 1)))
    with pytest.raises(Unsupported, match="no place"):
        PatchAttack()(model, x, goal, LInf())


def test_training_takes_half_of_the_loss_under_the_patch():
    model, x, goal = _world(rows=4)
    plan = replace(
        FULL_LO,
        threat=Patch(height=PATCH, width=PATCH),
        attack=PatchAttack(steps=3, rate=0.5, place="full-opt", stride=1),
    )
    batch = Batch(x, goal.y, torch.arange(4))
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(4), 1)
    run.own([plan])
    losses = plan(run, batch)
    plain = nn.functional.cross_entropy(model(x), goal.y, reduction="none")
    assert losses.shape == (4,) and (losses > 0.5 * plain).all()
    assert (2 * losses - plain > plain).double().mean() >= 0.75
