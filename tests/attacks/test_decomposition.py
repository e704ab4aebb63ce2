"""Margin decomposition against an analytic trap, autograd, a naive twin and closed forms."""

from __future__ import annotations

from math import cos, pi

import pytest
import torch

from holdfast.attacks.climb import margin
from holdfast.attacks.contest import probability
from holdfast.attacks.decomposition import MD_MT, PMA, MarginDecomposition, odds
from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.goal import Targeted, Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import three_class
from holdfast.threats.norms import L2, LInf

SIZE = 100


def trap(x):
    """Falling logits: the label's drowns the other one, which rises steeply only near t = -1."""
    t = 2 * x - 1
    own = SIZE - t.sum(1)
    other = -SIZE + (-0.1 * t + 4 * torch.relu(-t - 0.8) / 0.2).sum(1)
    return torch.stack([own, other], 1)


def decoy(x):
    """Class 1 is the nearest by far and never wins; class 2 wins at the edge of the ball."""
    d = x - 0.5
    first, second = (10 * d[:, 0] - 0.1).clamp(max=-0.05), 9 * d[:, 1] - 0.85
    return torch.stack([0 * first, first, second], 1)


def middle(rows):
    x = torch.full((rows, SIZE), 0.5, dtype=torch.float64)
    return x, Untargeted(torch.zeros(rows, dtype=torch.long)), LInf(radius=0.5)


def test_one_term_first_gets_out_of_the_trap():
    x, goal, threat = middle(10)  # rows differ in their draws alone: ten seeds
    held = search(PGD(steps=100, climb="margin", restarts=3), trap, x, goal, threat)
    assert not held.broken.any() and (held.margin < -50).all()
    assert search(MarginDecomposition(), trap, x, goal, threat).broken.all()
    assert search(PMA, trap, x, goal, threat).broken.all()
    assert torch.allclose(goal(trap(x * 0)), torch.tensor(110.0, dtype=torch.float64))


def test_targets_of_their_own_get_past_a_class_that_never_wins():
    x, goal, _ = middle(8)
    threat = LInf(radius=0.1)
    assert search(MarginDecomposition(), decoy, x, goal, threat).broken.sum() <= 4
    assert search(MD_MT, decoy, x, goal, threat).broken.all()


def test_without_the_first_stage_it_is_ascent_on_the_margin(net):
    model, x, y = net
    goal, eps, steps = Untargeted(y), 0.02, 8
    threat, dice = LInf(radius=eps), Dice.of(len(x), seed=3)
    best = torch.full((len(x),), -torch.inf)
    for _ in range(2):
        moved = x + threat.sample(x, dice)
        for step in range(steps + 1):
            moved = moved.detach().requires_grad_()
            reached = goal(model(moved))
            best = torch.maximum(best, reached.detach())
            (gradient,) = torch.autograd.grad(reached.sum(), moved)
            ahead = moved + eps * (1 + cos(pi * (step - 1) / steps)) * gradient.sign()
            moved = torch.minimum(torch.maximum(ahead, x - eps), x + eps).clamp(0, 1)
    ours = search(
        MarginDecomposition(steps=steps, turn=0.0), model, x, goal, threat,
        dice=Dice.of(len(x), seed=3),
    )  # fmt: skip
    left = ~ours.broken
    assert torch.equal(ours.broken, best >= 0) and left.any()
    assert torch.allclose(ours.margin[left], best[left], atol=1e-5)


def test_lengths_are_the_published_ones():
    found = MarginDecomposition(steps=50, turn=0.4).lengths()
    first = [1 + cos(pi * (i - 1) / 30) for i in range(21)]
    second = [1 + cos(pi * (i - 21) / 30) for i in range(21, 50)]
    assert found == pytest.approx(first + second)


def slope(height, z):
    z = z.clone().requires_grad_()
    (found,) = torch.autograd.grad(height(z).sum(), z)
    return found


def same_way(a, b, slack=1e-10):
    """Whether rows differ by a positive factor alone."""
    a, b = (g / g.abs().amax(1, keepdim=True) for g in (a, b))
    return bool((a - b).abs().max() < slack)


@pytest.mark.parametrize("targeted", [False, True])
def test_each_stage_climbs_what_it_says(targeted):
    z = 3 * torch.randn(64, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.arange(64) % 6
    goal = Targeted(y) if targeted else Untargeted(y)
    best = z.scatter(1, y[:, None], -torch.inf).argmax(1)
    held, won = (best, y) if targeted else (y, best)
    rows = torch.arange(64)

    def one(values, place):
        return values.gather(1, place[:, None]).squeeze(1)

    for terms, value in (("logits", lambda v: v), ("probabilities", lambda v: v.softmax(1))):
        attack = MarginDecomposition(steps=10, turn=0.4, terms=terms)
        stages = {
            ("held", 0): lambda v, f=value: one(f(v), held),
            ("held", 1): lambda v, f=value: -one(f(v), held),
            ("won", 3): lambda v, f=value: one(f(v), won),
            ("won", 4): lambda v, f=value: one(f(v), won) - one(f(v), held),
        }
        for (term, step), plain in stages.items():
            climbed = attack._heights(term, None)(step, rows)
            assert same_way(slope(lambda v, c=climbed: c(goal, v), z), slope(plain, z))


def test_the_probability_margin_has_the_direction_and_value_of_its_formula():
    z = 2 * torch.randn(50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = torch.arange(50) % 7

    def plain(v):
        p = v.softmax(1)
        return p.scatter(1, y[:, None], -1).amax(1) - p.gather(1, y[:, None]).squeeze(1)

    def ours(v):
        return probability(Untargeted(y), v)

    assert torch.allclose(ours(z), plain(z), atol=1e-12)
    assert same_way(slope(ours, z), slope(plain, z))


def test_with_two_classes_probabilities_and_logits_agree():
    z = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    goal = Untargeted(torch.arange(40) % 2)
    one, two = (slope(lambda v, f=f: f(goal, v), z) for f in (probability, margin))
    assert torch.equal(one.sign(), two.sign())


def test_loud_logits_leave_no_row_without_a_slope(net):
    model, x, y = net

    def without(height):
        moved = x.clone().requires_grad_()
        (found,) = torch.autograd.grad(height(1000 * model(moved)).sum(), moved)
        return float((found.flatten(1).abs().amax(1) == 0).double().mean())

    def naive(z):
        p = z.softmax(1)
        return p.scatter(1, y[:, None], -1).amax(1) - p.gather(1, y[:, None]).squeeze(1)

    assert without(naive) > 0.2
    assert without(lambda z: probability(Untargeted(y), z)) == 0
    assert without(lambda z: odds(z, y)) == 0


def test_linear_worlds_have_a_closed_form():
    world = three_class(rows=32)
    truth = world.worst(0.05, 2)
    for attack in (MarginDecomposition(), MD_MT, PMA):
        found = search(attack, world.model, world.x, world.goal, L2(radius=0.05))
        assert torch.equal(found.broken, truth >= 0)
        gap = (truth - found.margin)[~found.broken]
        assert (gap > -1e-9).all() and gap.max() < 0.02
