"""Ascent from larger balls: against the published attack of the sum norm, and its own limits."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from holdfast.attacks.apgd import APGD
from holdfast.attacks.chain import AUTOATTACK_L1
from holdfast.attacks.narrowing import Narrowing
from holdfast.claims.small_net import digits, trained
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import L1, L2, LInf

ROWS, EPS = 60, 1.5


def nearest(x, d, eps):
    """The exact projection onto ball and box, by bisection of the threshold, as published."""
    room = torch.where(d > 0, 1 - x, x)
    low, high = torch.zeros(len(x), 1).to(x), d.abs().amax(1, keepdim=True)
    for _ in range(40):
        middle = (low + high) / 2
        size = torch.minimum((d.abs() - middle).clamp(min=0), room).sum(1, keepdim=True)
        low, high = torch.where(size > eps, middle, low), torch.where(size > eps, high, middle)
    free = torch.minimum(d.abs(), room).sum(1, keepdim=True) <= eps
    kept = torch.minimum((d.abs() - torch.where(free, 0.0, high)).clamp(min=0), room)
    return d.sign() * kept


def looked(model, x, y, d):
    point = (x + d).requires_grad_()
    z = model(point)
    loss = cross_entropy(z, y, reduction="none")
    (slope,) = torch.autograd.grad(loss.sum(), point)
    wrong = z.gather(1, y[:, None]).squeeze(1) <= z.scatter(1, y[:, None], -torch.inf).amax(1)
    return loss.detach(), slope, wrong


def published_stage(model, x, y, eps, d, steps, dense):
    """APGD for the sum norm in one ball: sparse signs, their number from the best change."""
    n = x.shape[1]
    loss, slope, won = looked(model, x, y, d)
    best, best_loss, best_slope = d, loss, slope
    eta, old = torch.full((len(x), 1), eps).to(x), dense * 1.5 * n
    for step in range(1, steps + 1):
        place = ((1 - dense) * n).clamp(0, n - 1).long()
        least = slope.abs().sort(1).values.gather(1, place)
        way = torch.where(slope.abs() >= least, slope, 0.0).sign()
        d = nearest(x, d + eta * way / way.abs().sum(1, keepdim=True).clamp(min=1), eps)
        loss, slope, wrong = looked(model, x, y, d)
        won = won | wrong
        up = (loss > best_loss)[:, None]
        best, best_slope = torch.where(up, d, best), torch.where(up, slope, best_slope)
        best_loss = torch.maximum(loss, best_loss)
        if step % max(int(0.04 * steps), 1) == 0:
            count = (best != 0).sum(1, keepdim=True).to(x)
            dense, sparser = (count / (1.5 * n)).clamp(min=1 / n), count / old < 0.95
            eta = torch.where(sparser, eps, eta / 1.5).clamp(eps / 10, eps)
            d, slope = torch.where(sparser, best, d), torch.where(sparser, best_slope, slope)
            old = count
    return best, won


def published(model, x, y, seed):
    """The version of AutoAttack for the sum norm: three radii, two, and one."""
    g = torch.Generator().manual_seed(seed)
    start = torch.randn(x.shape, generator=g, dtype=x.dtype)
    d = nearest(x, 3 * EPS * start / start.abs().sum(1, keepdim=True), 3 * EPS)
    won, dense = torch.zeros(len(x), dtype=torch.bool), torch.full((len(x), 1), 0.2).to(x)
    for factor, steps in ((3, 30), (2, 30), (1, 40)):
        d = nearest(x, d, factor * EPS)
        if factor < 3:
            dense = ((d != 0).sum(1, keepdim=True) / (1.5 * x.shape[1])).to(x)
        d, found = published_stage(model, x, y, factor * EPS, d, steps, dense)
        won = found if factor == 1 else won
    return won


def test_it_leaves_no_more_than_the_published_attack():
    ours = theirs = 0
    for seed in (5,):
        model, test = trained(seed).double(), digits(seed)[1]
        x, y = test.x[:ROWS].double().flatten(1), test.y[:ROWS]
        right = model(x).argmax(1) == y
        theirs += int((~published(model, x, y, seed) & right).sum())
        dice = Dice.of(ROWS, seed)
        found = search(Narrowing(), model, x, Untargeted(y), L1(radius=EPS), dice=dice)
        ours += int((~found.broken).sum())
        trained(seed).float()
    assert 10 < ours <= theirs + 1


@pytest.mark.parametrize("threat", [LInf(radius=0.02), L2(radius=0.05), L1(radius=0.1)])
def test_linear_worlds_have_a_closed_form(threat):
    world = two_class(rows=32)
    found = search(Narrowing(), world.model, world.x, world.goal, threat)
    truth, left = world.worst(threat.radius, threat.order), ~found.broken
    assert left.any() and torch.equal(found.broken, truth >= 0)
    assert torch.allclose(found.margin[left], truth[left], atol=1e-6)


def test_without_larger_balls_it_is_apgd():
    world, threat = two_class(rows=16, size=4), L1(radius=0.1)
    one, other = (
        attack(world.model, world.x, world.goal, threat, dice=Dice.of(16, 3))
        for attack in (Narrowing(wide=(), steps=15), APGD(steps=15))
    )
    assert torch.equal(one, other)


def test_what_wins_in_a_larger_ball_alone_is_no_win():
    world = two_class(rows=16, size=4)
    radius = 0.5 * float(world.radius(1).min())
    change = Narrowing(steps=10)(world.model, world.x, world.goal, L1(radius=radius))
    assert (L1(radius=radius).size(world.x, change) <= 1 + 1e-9).all()
    assert (world.goal(world.model(world.x + change)) < 0).all()


def test_the_published_version_for_the_sum_norm():
    first, second, third, last = AUTOATTACK_L1.attacks
    assert (first.restarts, first.climb, first.wide) == (5, "soft", (3.0, 2.0))
    assert (second.climb, second.targets) == ("targeted", 5)
    assert third == "attack:fab-targeted" and last.steps == 5000
