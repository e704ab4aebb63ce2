"""The sequential test against exact enumeration of its level, and smoothing by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import betaln
from scipy.stats import binom
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.certify.smoothing.anytime import SequentialSmoothing
from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.certify.smoothing.sequential import FIRST, GROWTH, log_evidence, needed, share_test
from holdfast.certify.smoothing.votes import split, votes
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import Targeted, Untargeted
from holdfast.defend.smoothed import ballots, smoothed
from holdfast.run.search import search
from holdfast.testing.worlds import Linear, two_class
from holdfast.threats.norms import L2, LInf


def test_evidence_is_the_integral_it_says() -> None:
    odds, k, n = 0.7, 41, 50
    p = float(torch.special.ndtr(torch.tensor(odds, dtype=torch.float64)))

    def weighted(q: float, wins: int, draws: int) -> float:
        return q ** (wins - 0.5) * (1 - q) ** (draws - wins - 0.5)

    above = quad(weighted, p, 1, args=(k, n))[0] / quad(weighted, p, 1, args=(0, 0))[0]
    exact = np.log(above) - k * np.log(p) - (n - k) * np.log(1 - p)
    found = log_evidence(torch.tensor([k]), torch.tensor([n]), odds)
    assert abs(float(found) - exact) < 1e-7
    assert np.isfinite(betaln(0.5, 0.5))


def exact_level(odds: float, alpha: float, most: int, limit: float | None = None) -> float:
    """Probability that a row whose share is the limit itself ever passes, by enumeration."""
    p = float(torch.special.ndtr(torch.tensor(odds, dtype=torch.float64)))
    alive, done, passed = np.ones(1), 0, 0.0
    while done < most:
        step = min(max(FIRST, done // GROWTH), most - done)
        alive = np.convolve(alive, binom.pmf(np.arange(step + 1), step, p if not limit else limit))
        done += step
        first = needed(done, odds, alpha)
        passed += alive[first:].sum()
        alive[first:] = 0
    return float(passed)


@pytest.mark.parametrize("odds", [0.0, 0.5, 1.5, 2.5])
def test_level_is_exact_and_not_wasted(odds: float) -> None:
    level = exact_level(odds, 0.05, 3000)
    assert 0.1 * 0.05 < level <= 0.05
    p = float(torch.special.ndtr(torch.tensor(odds, dtype=torch.float64)))
    assert exact_level(odds, 0.05, 3000, 0.97 * p) < level


def test_the_test_itself_passes_as_often_as_enumerated() -> None:
    rng, rows, odds, alpha = np.random.default_rng(4), 100_000, 1.0, 0.05
    p = float(torch.special.ndtr(torch.tensor(odds)))

    def draw(some: torch.Tensor, n: int) -> torch.Tensor:
        return torch.as_tensor(rng.binomial(n, p, len(some)))

    found = share_test(draw, rows, odds, alpha=alpha, most=2000)
    exact = exact_level(odds, alpha, 2000)
    passed = int(found.passed.sum())
    assert passed <= binom.ppf(1 - 1e-6, rows, exact)
    assert passed >= binom.ppf(1e-6, rows, 0.9 * exact)  # what giving up early costs
    assert bool((found.draws <= 2000).all())


def test_clear_rows_need_few_draws_and_hopeless_ones_fewer() -> None:
    def sure(some: torch.Tensor, n: int) -> torch.Tensor:
        return torch.where(some == 0, n, n // 2)

    found = share_test(sure, 2, 1.5, alpha=0.001, most=100_000)
    assert found.passed.tolist() == [True, False]
    assert found.draws[0] < 150
    assert found.draws[1] < 40
    never = share_test(sure, 2, 50.0, alpha=0.001, most=1000)
    assert not never.passed.any()
    assert never.draws.sum() == 0


def test_linear_rows_are_proved_up_to_their_distance() -> None:
    world = Linear.make(2, 60, 8)
    distance, radius, sigma = world.radius(2.0), 0.15, 0.25
    model, threat = smoothed(world.model, sigma=sigma), L2(radius=radius)
    found = SequentialSmoothing()(model, world.x, world.goal, threat)
    assert not found.proved[distance < radius].any()
    assert found.proved[distance > 1.15 * radius].all()
    assert found.radius is not None
    assert torch.equal(found.radius > 0, found.proved)
    attacked = search(PGD(steps=30), world.model, world.x, world.goal, threat)  # the limit itself
    assert not (attacked.broken & found.proved).any()
    fixed = Smoothing(samples=10_000)(model, world.x, world.goal, threat)
    assert (fixed.proved == found.proved).double().mean() > 0.95


def test_ties_nan_and_wrong_labels_never_pass() -> None:
    x, y = torch.rand(6, 4), torch.zeros(6, dtype=torch.long)
    for base in (
        lambda x: torch.zeros(len(x), 3),
        lambda x: torch.tensor([float("nan"), 0.0, -1.0]).expand(len(x), 3),
        lambda x: torch.tensor([float("inf"), 0.0, -1.0]).expand(len(x), 3),
        lambda x: torch.tensor([0.0, 1.0, 0.0]).expand(len(x), 3),
    ):
        for certifier in (SequentialSmoothing(samples=300), Smoothing(samples=300)):
            assert not certifier(smoothed(base), x, Untargeted(y), L2(radius=0.01)).proved.any()
    assert ballots(torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])).sum(1).tolist() == [0, 1]


def test_targets_unlabelled_rows_and_refusals() -> None:
    world = two_class()
    model, some = smoothed(world.model, sigma=0.05), SequentialSmoothing(samples=500)
    right = some(model, world.x, world.goal, L2(radius=0.01)).proved
    other = some(model, world.x, Targeted(1 - world.y), L2(radius=0.01)).proved
    assert right.any()
    assert (right == other).double().mean() > 0.8
    wrong = some(model, world.x, Untargeted(1 - world.y), L2(radius=0.01))
    assert not wrong.proved.any()
    for args in ((world.model, L2(radius=0.1)), (model, LInf(radius=0.1))):
        with pytest.raises(Unsupported):
            some(args[0], world.x, world.goal, args[1])
    dense = smoothed(lambda x: x[:, :, None].expand(-1, -1, 3))
    with pytest.raises(Unsupported):
        some(dense, world.x, world.goal, L2(radius=0.1))
    with pytest.raises(ShapeError):
        some(model, world.x, Untargeted(world.y + 7), L2(radius=0.1))


def test_shared_noise_gives_the_votes_of_that_noise() -> None:
    """The first layers are applied to input and noise apart; the sum is the same model."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(nn.Identity(), nn.Conv2d(1, 4, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    ).double()
    x = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    head, rest = split(net)
    assert torch.equal(rest(head(x)), net(x))
    dice = Dice.of(5, seed=3)
    whole = votes(smoothed(net), x, 400, dice, shared=True)
    plain = votes(smoothed(lambda x: net(x)), x, 400, dice, shared=True)  # not to be split
    assert torch.equal(whole, plain)
    assert torch.equal(
        votes(smoothed(net), x[2:3], 400, dice.part(slice(2, 3)), shared=True), whole[2:3]
    )
    same = x[:1].expand(5, -1, -1, -1)
    together = votes(smoothed(net), same, 400, dice, shared=True)
    assert (together == together[0]).all()
    apart = votes(smoothed(net), same, 400, dice)
    assert not (apart == apart[0]).all()


@pytest.mark.parametrize("bend", ["relu", "hook", "reflect", "function"])
def test_only_what_is_affine_is_split(bend: str) -> None:
    first = nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect" if bend == "reflect" else "zeros")
    if bend == "hook":
        first.register_forward_hook(lambda m, args, out: out.abs())
    net: nn.Module = nn.Sequential(nn.ReLU(), first) if bend == "relu" else nn.Sequential(first)
    base = (lambda x: net(x)) if bend == "function" else net
    assert split(base)[1] is base
