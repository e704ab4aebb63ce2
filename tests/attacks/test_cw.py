"""CW and EAD against foolbox; confidence, sparsity and the price."""

from __future__ import annotations

import torch

from holdfast.attacks.cw import CW
from holdfast.attacks.ead import EAD
from holdfast.attacks.price import descents, shortfall
from holdfast.attacks.smallest import Smallest
from holdfast.core.goal import Untargeted
from holdfast.testing.worlds import Images, two_class
from holdfast.threats.norms import L1, L2


def compared(attack, runner, net, threat):
    """Mean lengths of ours and of foolbox's, all rows won by both."""
    import foolbox

    model, x, y = (net[0], net[1][:6], net[2][:6])
    goal = Untargeted(y)
    mine = attack(model, x, goal, threat)
    box = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    other = runner(box, x, y, epsilons=None)[1] - x
    for change in (mine, other):
        assert (goal(model(x + change)) >= 0).all()
    return float(threat.length(mine).mean()), float(threat.length(other).mean())


def test_cw_is_no_longer_than_that_of_foolbox(net):
    import foolbox

    runner = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=5, steps=60, stepsize=0.03)
    attack = CW(rounds=5, steps=60, rate=0.03, price=1e-3, smallest=True)
    mine, theirs = compared(attack, runner, net, L2(radius=1.0))
    assert mine <= 1.03 * theirs


def test_ead_is_within_three_percent_of_foolbox(net):
    import foolbox

    runner = foolbox.attacks.EADAttack(
        binary_search_steps=5, steps=60, decision_rule="L1", regularization=1e-3
    )
    mine, theirs = compared(EAD(rounds=5, steps=60, smallest=True), runner, net, L1(radius=1.0))
    assert abs(mine / theirs - 1) <= 0.03


def test_more_confidence_costs_length_and_is_reached():
    world, threat = Images.make(), L2(radius=1.0)
    last = torch.zeros(len(world.x), dtype=torch.float64)
    for kappa in (0.0, 1.0, 3.0):
        attack = CW(confidence=kappa, steps=40, rounds=4, price=0.1, rate=0.05, smallest=True)
        change = attack(world.model, world.x, world.goal, threat)
        margin, length = world.goal(world.model(world.x + change)), threat.length(change)
        won = margin >= kappa
        assert won.double().mean() >= 0.6 and float(length[won].mean()) > float(last[won].mean())
        last = length


def test_the_shortfall_ends_where_the_confidence_is_reached():
    world = two_class(rows=16)
    known = Smallest(world.model, world.x, world.goal, L2(radius=1.0), None, shrink=True)
    rows, price = known.open, torch.full((16,), 2.0, dtype=torch.float64)
    (weights, values), none = world.ways(), torch.zeros_like(world.x)
    kappa = float(values.median())
    margin, cost, gradient = shortfall(rows, none, price, kappa)
    reached = values[:, 0] >= kappa
    assert torch.allclose(margin, values[:, 0]) and 4 < reached.sum() < 12
    assert (cost[reached] == 0).all() and (gradient[reached] == 0).all()
    assert torch.allclose(cost[~reached], 2 * (kappa - values[:, 0])[~reached])
    assert torch.allclose(gradient[~reached], -2 * weights[:, 0][~reached])


def test_the_price_is_searched_by_halving():
    """A row won from a price of 3 on: 1, 10, then half way between what lost and what won."""
    world = two_class(rows=2)
    known = Smallest(world.model, world.x, world.goal, L2(radius=1.0), None, shrink=True)
    seen = []
    for rows, price, won in descents(known, 1.0, 7):
        seen.append(price.tolist())
        won[rows.index] = price >= torch.tensor([3.0, 1e12], dtype=price.dtype)
    first, second = zip(*seen, strict=True)
    assert first == (1.0, 10.0, 5.5, 3.25, 2.125, 2.6875, 2.96875)
    assert second == tuple(10.0**k for k in range(7))


def test_most_pixels_are_exactly_unchanged(net):
    model, x, y = net
    attack = EAD(weight=1e-2, steps=60, rounds=5, price=1.0, smallest=True)
    change = attack(model, x, Untargeted(y), L1(radius=1.0))
    won = Untargeted(y)(model(x + change)) >= 0
    assert won.double().mean() >= 0.9
    assert float((change[won] == 0).double().mean()) > 0.3
