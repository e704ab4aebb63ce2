"""Attacks on labels against the closed form of a linear model, and their counts of queries."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.boundary import Boundary
from holdfast.attacks.decisions import bisected
from holdfast.attacks.hopskipjump import HopSkipJump, normal
from holdfast.attacks.smallest import Smallest
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Targeted
from holdfast.core.kinds import Access
from holdfast.run.passes import Tap
from holdfast.run.search import search
from holdfast.testing.worlds import Images, three_class, two_class
from holdfast.threats.norms import L1, L2, LInf


def _lengths(attack, world, threat):
    tap = Tap(world.model, Access.DECISION)
    with torch.no_grad():
        change = attack(tap, world.x, world.goal, threat)
        assert (world.goal(world.model(threat.apply(world.x, change))) >= 0).all()
    return threat.length(change), tap.forwards


@pytest.mark.parametrize(("kind", "order"), [(L2, 2.0), (LInf, float("inf"))])
def test_ends_within_fifteen_percent_of_the_distance(kind, order):
    world = two_class(rows=8, size=64, seed=3)
    length, _ = _lengths(HopSkipJump(steps=8, smallest=True), world, kind(radius=1e-3))
    ratio = length / world.radius(order)
    assert ratio.mean() <= 1.15 and ratio.min() >= 1 - 1e-9


def test_more_jumps_never_lengthen_a_change():
    world, last = two_class(rows=6, size=16, seed=4), torch.inf
    for jumps in (1, 3, 6):
        length, _ = _lengths(HopSkipJump(steps=jumps, smallest=True), world, L2())
        assert (length <= last).all()
        last = length


def test_the_estimated_normal_is_that_of_the_boundary():
    world = two_class(rows=5, size=64, seed=5)
    known = Smallest(world.model, world.x, world.goal, L2(), None, shrink=True)
    rows = known.open
    weight = world.ways()[0][:, 0]
    step = (world.radius(2) / weight.norm(dim=1))[:, None] * weight
    found = normal(known, rows, step, torch.full((5,), 0.01, dtype=torch.float64), 1000)
    assert torch.cosine_similarity(found, weight).min() > 0.6
    assert torch.allclose(found.norm(dim=1), torch.ones(5, dtype=torch.float64))


def test_the_shortest_probe_that_wins_is_kept():
    world = two_class(rows=5, size=8, seed=5)
    seen = []

    def model(x):
        seen.append(x)
        return world.model(x)

    known = Smallest(model, world.x, world.goal, L2(), None, shrink=True)
    weight = world.ways()[0][:, 0]
    step = 1.01 * (world.radius(2) / weight.norm(dim=1))[:, None] * weight
    seen.clear()
    normal(known, known.open, step, torch.full((5,), 0.1, dtype=torch.float64), 20)
    probes = torch.cat(seen).reshape(5, 20, 8)
    margin = torch.stack([world.goal(world.model(p)) for p in probes.unbind(1)], 1)
    length = (probes - world.x[:, None]).norm(dim=2).masked_fill(margin < 0, torch.inf)
    assert margin.ge(0).any(1).all() and torch.allclose(known.length, length.amin(1))
    # A row whose shortest probe is inside the threat is not probed again.
    enough = Smallest(model, world.x, world.goal, L2(radius=50.0), None, shrink=False)
    seen.clear()
    normal(enough, enough.open, step, torch.full((5,), 0.1, dtype=torch.float64), 300)
    assert sum(map(len, seen)) == 5 * 128


def test_bisection_keeps_the_winning_end():
    world = two_class(rows=6, size=8, seed=6)
    known = Smallest(world.model, world.x, world.goal, L2(radius=1e-4), None, shrink=False)
    weight = world.ways()[0][:, 0]
    direction = weight / weight.norm(dim=1, keepdim=True)
    far = known.open.boxed(0.9 * direction)
    won = world.goal(world.model(world.x + far)) >= 0
    rows = known.open.take(won.nonzero().flatten())
    near = bisected(known, rows, far[won], 1e-4)
    assert (rows.margins(near) >= 0).all()
    less = 1.01e-4 * far[won].norm(dim=1) / near.norm(dim=1)
    assert (rows.margins(near * (1 - less)[:, None]) < 0).all()


def test_the_walk_ends_near_the_distance():
    world = two_class(rows=3, size=8, seed=7)
    length, _ = _lengths(Boundary(steps=40, smallest=True), world, L2())
    assert (length / world.radius(2)).mean() <= 1.15


@pytest.mark.parametrize("attack", [HopSkipJump(steps=3), Boundary(steps=5)])
def test_every_row_sent_forward_is_counted_and_none_after_it_is_broken(attack):
    world = two_class(rows=6, size=8, seed=8)
    sent = []

    def model(x):
        sent.append(len(x))
        return world.model(x)

    found = search(attack, model, world.x, world.goal, L2(radius=5.0))
    assert found.broken.all() and found.passes.forwards == sum(sent)
    assert found.passes.backwards == 0
    # The clean point twice (judge and attack), noise until the label changes, bisection's first
    # question at the radius, and the verdict.
    assert found.passes.forwards <= 6 * 12


def test_labels_are_all_it_sees_of_images():
    world = Images.make(rows=6)
    found = search(HopSkipJump(steps=6), world.model, world.x, world.goal, L2(radius=2.0))
    assert found.broken.double().mean() >= 0.8


def test_a_target_is_reached_from_a_pool():
    world = three_class(rows=12, size=8)
    goal = Targeted((world.y + 1) % 3)
    attack = HopSkipJump(steps=3, tries=1, pool=world.x, smallest=True)
    change = attack(world.model, world.x, goal, L2())
    with torch.no_grad():
        won = goal(world.model(world.x + change)) >= 0
    reachable = torch.tensor([bool((world.y == t).any()) for t in goal.target.tolist()])
    assert won[reachable].all()


def test_other_lengths_are_refused():
    world = two_class(rows=2)
    for attack in (HopSkipJump(), Boundary()):
        with pytest.raises(Unsupported, match="l1"):
            attack(world.model, world.x, world.goal, L1())
