"""The query loop against a naive twin, and its promises about passes."""

from __future__ import annotations

import torch

from holdfast.attacks.active import Active
from holdfast.attacks.queries import ask
from holdfast.core.dice import Dice
from holdfast.core.goal import AtLeast
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import LInf
from holdfast.threats.shared import Shared


def _drawn(active, step, change):
    return active.threat.near(active.x, change, 0.3, active.dice)


def test_each_row_keeps_the_best_of_what_it_saw():
    world, threat = two_class(rows=6), LInf(radius=1e-4)
    active = Active(world.model, world.x, world.goal, threat, Dice.of(6))
    ask(active, threat.none(world.x), _drawn, 25)
    for row in range(6):
        own = torch.tensor([row])
        x, goal, dice = world.x[own], world.goal.take(own), Dice.of(6).take(own)
        change = threat.none(x)
        for _ in range(25):
            new = threat.near(x, change, 0.3, dice)
            if goal(world.model(x + new)) > goal(world.model(x + change)):
                change = new
        assert torch.allclose(active.best[own], change)


def test_a_broken_row_is_never_asked_again():
    world = two_class(rows=4)
    level = torch.tensor([1e9, -1e9, 1e9, -1e9], dtype=torch.float64)
    asked = []

    def model(x):
        asked.append(len(x))
        return world.model(x)

    threat = LInf(radius=0.1)
    active = Active(model, world.x, AtLeast(level), threat, None)
    ask(active, threat.none(world.x), _drawn, 3)
    assert asked == [4, 2, 2, 2]


def test_a_shared_change_is_kept_or_dropped_for_all_rows():
    world, threat = two_class(rows=6), Shared(threat=LInf(radius=0.02))
    active = Active(world.model, world.x, world.goal, threat, None)
    seen = []

    def propose(active, step, change):
        seen.append(bool((change == change[:1]).all()))
        return _drawn(active, step, change)

    ask(active, threat.none(world.x), propose, 20)
    assert all(seen) and bool((active.best == active.best[:1]).all())
