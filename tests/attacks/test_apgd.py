"""APGD against closed forms, its published schedule and torchattacks."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.apgd import APGD, APGD_DLR, APGD_TARGETED, windows
from holdfast.attacks.climb import dlr, soft
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import Images, three_class, two_class
from holdfast.threats.norms import L1, L2, LInf

INF = float("inf")


@pytest.mark.parametrize(
    ("threat", "order", "radius"), [(LInf, INF, 0.02), (L2, 2, 0.05), (L1, 1, 0.1)]
)
@pytest.mark.parametrize("attack", [APGD(), APGD_DLR, APGD_TARGETED])
def test_linear_worlds_have_a_closed_form(threat, order, radius, attack):
    world = two_class(rows=32)
    found = search(attack, world.model, world.x, world.goal, threat(radius=radius))
    truth, left = world.worst(radius, order), ~found.broken
    assert left.any() and torch.equal(found.broken, truth >= 0)
    assert torch.allclose(found.margin[left], truth[left], atol=1e-6)


def test_targets_find_the_best_of_several_ways():
    world = three_class(rows=32)
    found = search(APGD_TARGETED, world.model, world.x, world.goal, L2(radius=0.05))
    truth, left = world.worst(0.05, 2), ~found.broken
    assert torch.equal(found.broken, truth >= 0)
    assert torch.allclose(found.margin[left], truth[left], atol=1e-6)


def test_windows_are_the_published_ones():
    # 100 steps: 22, then 3 fewer each time, never fewer than 6.
    assert windows(100) == [22, 19, 16, 13, 10, 7, 6, 6]
    assert windows(1) == [1]


def test_dlr_ignores_scale_and_shift():
    z = torch.randn(16, 6, dtype=torch.float64)
    goal = Untargeted(z.argmin(1))
    assert torch.allclose(dlr(goal, z), dlr(goal, 1000 * z + 3), atol=1e-9)
    two = z[:, :2]
    easy = Untargeted(two.argmin(1))
    assert torch.equal(dlr(easy, two), easy(two))


def test_soft_rises_with_the_cross_entropy():
    z = torch.randn(16, 6, dtype=torch.float64)
    goal = Untargeted(z.argmin(1))
    loss = torch.nn.functional.cross_entropy(z, goal.y, reduction="none")
    assert torch.allclose(torch.nn.functional.softplus(soft(goal, z)), loss)


@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_as_strong_as_torchattacks(net, loss):
    import torchattacks

    model, x, y = net
    eps, goal = 0.015, Untargeted(y)
    attack = APGD(steps=20, climb="soft" if loss == "ce" else "dlr")
    ours = search(attack, model, x, goal, LInf(radius=eps)).broken
    theirs = torchattacks.APGD(model, eps=eps, steps=20, loss=loss)(x, y)
    broken = goal(model(theirs)) >= 0
    assert 0 < int(broken.sum()) < len(x)
    assert int(ours.sum()) >= int(broken.sum()) - 1


def test_more_steps_reach_higher():
    world, threat = Images.make(rows=16), LInf(radius=0.01)

    def mean(steps):
        attack = APGD(steps=steps, climb="margin")
        return float(search(attack, world.model, world.x, world.goal, threat).margin.mean())

    means = [mean(n) for n in (2, 10, 40)]
    assert means == sorted(means)
