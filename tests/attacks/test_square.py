"""Square against its published schedule, a world without gradients, and torchattacks."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.pgd import PGD
from holdfast.attacks.square import Square, window_share
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import staircase, two_class
from holdfast.threats.blocks import peak
from holdfast.threats.norms import L1, L2, LInf


def test_the_schedule_is_the_published_one():
    steps = [0, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001]
    assert [window_share(0.8, i, 10000) for i in steps] == [0.8 / 2**k for k in range(10)]
    assert window_share(0.8, 51, 1000) == window_share(0.8, 510, 10000)


def test_no_gradients_are_needed_where_there_are_none():
    world = staircase(rows=24)
    radius = 1.5 * float(world.radius(float("inf")).median())
    masked = search(PGD(start="none"), world.model, world.x, world.goal, LInf(radius=radius))
    assert not masked.broken.any()
    found = search(Square(steps=200), world.model, world.x, world.goal, LInf(radius=radius))
    due = world.worst(radius, float("inf")) > world.slack()
    assert due.sum() >= 10 and found.broken[due].float().mean() >= 0.9
    assert (found.margin <= world.worst(radius, float("inf")) + world.slack()).all()


def test_one_forward_per_proposal():
    world = two_class(rows=5)
    found = search(Square(steps=30), world.model, world.x, world.goal, LInf(radius=1e-6))
    assert found.passes.forwards == 5 * (1 + 31 + 1) and found.passes.backwards == 0


def test_more_proposals_never_lower_a_margin():
    world = two_class(rows=16)
    threat = L2(radius=0.05)
    few = search(Square(steps=40, share=0.1), world.model, world.x, world.goal, threat)
    again = search(Square(steps=40, share=0.1), world.model, world.x, world.goal, threat, since=few)
    assert (again.margin >= few.margin).all()


@pytest.mark.parametrize(("kind", "order"), [(L1, 1), (L2, 2)])
def test_the_budget_of_a_window_stands_in_a_pyramid(kind, order):
    x = torch.full((20, 2, 9, 9), 0.5, dtype=torch.float64)
    threat = kind(radius=0.3)
    change = threat.near(x, threat.none(x), 25 / 81, Dice.of(20))
    size = change.abs().flatten(2).pow(order).sum((1, 2)) ** (1 / order)
    assert torch.allclose(size, torch.full((20,), 0.3).double())
    power = 4 / order
    tops = [sum((k + 1) ** -power for k in range(ring, 5)) for ring in range(3)]
    assert torch.allclose(
        peak(torch.zeros(1, 1, 9, 9).long(), power), torch.tensor(tops[0]).double()
    )
    heights = (change[0, 0].abs() / change[0, 0].abs().max() * tops[0]).flatten()
    counts = [int(torch.isclose(heights, torch.tensor(t).double()).sum()) for t in tops]
    assert counts == [1, 8, 16] and int((heights > 0).sum()) == 25


def _compare(net, threat, norm, eps):
    import torchattacks

    model, x, y = net
    goal = Untargeted(y)
    ours = int(search(Square(steps=150), model, x, goal, threat).broken.sum())
    attack = torchattacks.Square(model, norm=norm, eps=eps, n_queries=150)
    theirs = int((goal(model(attack(x, y))) >= 0).sum())
    assert 0 < theirs < len(x)
    assert abs(ours - theirs) <= 0.2 * len(x) or ours > theirs


def test_about_as_strong_as_torchattacks_in_the_maximum_norm(net):
    _compare(net, LInf(radius=0.02), "Linf", 0.02)


def test_about_as_strong_as_torchattacks_in_the_euclidean_norm(net):
    _compare(net, L2(radius=0.3), "L2", 0.3)
