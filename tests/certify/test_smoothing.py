"""Randomized smoothing against the closed form of linear models and exact coverage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom

from holdfast.certify.linear.ibp import IBP
from holdfast.certify.radius import certified_radius
from holdfast.certify.smoothing import randomized as smoothing
from holdfast.certify.smoothing.randomized import Smoothing, votes
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import AtLeast, Targeted, Untargeted
from holdfast.defend.smoothed import smoothed
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.testing.worlds import Linear, two_class
from holdfast.threats.norms import L2, LInf


def test_linear_radius_is_the_distance() -> None:
    """sigma * quantile(P[right side]) is exactly the distance to the hyperplane."""
    world = Linear.make(2, 60, 8)
    distance = world.radius(2.0)
    model = smoothed(world.model, sigma=0.25)
    found = Smoothing(selection=1000, samples=20_000)(model, world.x, world.goal, L2(radius=0.1))
    assert found.radius is not None
    assert (found.radius <= distance).all()
    near = distance < 0.4  # beyond, all samples may agree
    assert (found.radius[near] > distance[near] - 0.03).all()
    assert torch.equal(found.proved, found.radius > 0.1)


CERTIFICATES, DRAWS, ALPHA = 20_000, 20, 0.1


def wrong_and_expected() -> tuple[int, float, float]:
    """How many of 20,000 radii exceed the true distance; mean and deviation of that number.

    The share of noisy copies on the right side is `p = ndtr(distance / sigma)`, so the vote of
    each row is a binomial draw with a known p, and the probability that its bound exceeds p,
    after the right class was chosen, is a finite sum.
    """
    world = Linear.make(2, CERTIFICATES, 4, seed=77)
    distance, sigma = world.radius(2.0), 0.25
    found = Smoothing(selection=5, samples=DRAWS, alpha=ALPHA)(
        smoothed(world.model, sigma=sigma), world.x, world.goal, L2(radius=0.1)
    )
    assert found.radius is not None
    p = torch.special.ndtr(distance / sigma).numpy()
    bounds = clopper_pearson_lower(torch.arange(DRAWS + 1), DRAWS, ALPHA).numpy()
    first = np.searchsorted(bounds, p, side="right")  # fewest votes whose bound exceeds p
    fails = binom.sf(2, 5, p) * binom.sf(first - 1, DRAWS, p)
    spread = float((fails * (1 - fails)).sum() ** 0.5)
    return int((found.radius > distance).sum()), float(fails.sum()), spread


def test_radii_are_wrong_as_often_as_enumeration_says_and_no_more_than_promised() -> None:
    wrong, expected, spread = wrong_and_expected()
    assert abs(wrong - expected) < 5 * spread
    assert expected < ALPHA * CERTIFICATES
    assert wrong <= binom.ppf(1 - 1e-6, CERTIFICATES, ALPHA)


@pytest.mark.parametrize("bug", ["two-sided-level", "no-bound", "noise-shared-by-rows"])
def test_that_count_sees_bugs(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = smoothing.clopper_pearson_lower, smoothing.votes
    if bug == "noise-shared-by-rows":

        def shared(model, x, samples, dice, **fields):
            return real[1](model, x, samples, dice.keyed(torch.zeros_like(dice.keys)))

        monkeypatch.setattr(smoothing, "votes", shared)
    elif bug == "no-bound":
        monkeypatch.setattr(smoothing, "clopper_pearson_lower", lambda k, n, alpha: k / (n + 1e-9))
    else:
        monkeypatch.setattr(
            smoothing, "clopper_pearson_lower", lambda k, n, alpha: real[0](k, n, 2 * alpha)
        )
    wrong, expected, spread = wrong_and_expected()
    assert abs(wrong - expected) > 8 * spread


def test_no_radius_beyond_unanimity() -> None:
    world = Linear.make(2, 8, 8)
    found = Smoothing()(smoothed(world.model, sigma=0.01), world.x, world.goal, L2(radius=0.01))
    limit = 0.01 * torch.special.ndtri(torch.tensor(0.001 ** (1 / 1000), dtype=torch.float64))
    assert found.radius is not None
    assert found.radius.max() <= limit + 1e-12
    assert torch.isclose(found.radius.max(), limit)
    assert found.confidence == 0.999


def test_pure_noise_abstains() -> None:
    """A base that guesses among ten classes: choosing and counting must use separate draws."""

    def guess(x: torch.Tensor) -> torch.Tensor:
        bits = (x * 1e6).long().sum(1) % 10
        return torch.nn.functional.one_hot(bits, 10).double()

    x = torch.rand(200, 3, dtype=torch.float64)
    goal = Untargeted(guess(x).argmax(1))
    found = Smoothing(selection=20, samples=20)(smoothed(guess), x, goal, L2(radius=0.0))
    assert found.proved.float().mean() < 0.02


def test_wrong_classes_and_other_goals() -> None:
    world = two_class()
    model = smoothed(world.model, sigma=0.05)
    wrong = Smoothing()(model, world.x, Untargeted(1 - world.y), L2(radius=0.01))
    assert not wrong.proved.any()
    other = Smoothing()(model, world.x, Targeted(1 - world.y), L2(radius=0.01))
    right = Smoothing()(model, world.x, world.goal, L2(radius=0.01))
    assert torch.equal(other.margin, right.margin)
    assert right.proved.any()


def test_refuses_base_models_other_threats_and_goals() -> None:
    world = two_class()
    model = smoothed(world.model)
    for args in (
        (world.model, world.goal, L2(radius=0.1)),
        (smoothed(world.model, sigma=0.0), world.goal, L2(radius=0.1)),
        (model, world.goal, LInf(radius=0.1)),
        (model, AtLeast(torch.zeros(16)), L2(radius=0.1)),
    ):
        with pytest.raises(Unsupported):
            Smoothing()(args[0], world.x, args[1], args[2])


def test_votes_do_not_depend_on_the_batch() -> None:
    world = two_class()
    model, dice = smoothed(world.model, sigma=0.5), Dice.of(16, seed=4)
    whole = votes(model, world.x, 300, dice.spawn("a"))
    order = torch.tensor([5, 1, 9])
    part = votes(model, world.x[order], 300, dice.take(order).spawn("a"))
    assert torch.equal(whole[order], part)
    assert (whole.sum(1) == 300).all()


def test_certified_radius_is_proved_and_close() -> None:
    world = two_class()
    exact = world.radius(torch.inf)
    found = certified_radius(IBP(), world.model, world.x, world.goal, LInf(radius=0.3), steps=8)
    lowest = torch.minimum(exact / 0.3, torch.ones(())) - 2**-8
    inside = exact < 0.25  # beyond, the box of inputs cuts the ball
    assert (found[inside] <= exact[inside] / 0.3).all()
    assert (found >= lowest - 1e-9).all()
    none = certified_radius(IBP(), world.model, world.x[:0], world.goal.take(slice(0, 0)), LInf())
    assert none.shape == (0,)
