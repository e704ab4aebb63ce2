"""Dual smoothing against the exact distance at which two linear halves are overturned."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pytest
import torch
from scipy.stats import binom

from holdfast.certify.smoothing.dual import DualRadius, least_votes
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import AtLeast, Untargeted
from holdfast.defend.dual import DualSmoothed, DualSmoothing, half
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import L2, LInf


def test_halves_see_only_their_own_positions() -> None:
    for shape in ((2, 3, 4, 5), (2, 3, 4, 6), (2, 7), (2, 3, 4)):
        x = torch.rand(shape, dtype=torch.float64, requires_grad=True)
        seen = []
        for side in (0, 1):
            (gradient,) = torch.autograd.grad(half(x, side).sum(), x)
            seen.append(gradient > 0)
        assert not (seen[0] & seen[1]).any()
        assert (seen[0] | seen[1]).all()
        if len(shape) == 4:  # all channels alike
            assert torch.equal(seen[0][:, 0], seen[0][:, 1])
            assert torch.equal(seen[0][0, 0, 0], torch.arange(shape[-1]) % 2 == 0)
    with pytest.raises(ShapeError):
        half(torch.rand(2, 1), 0)


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.5), (2.0, -0.7), (0.3, 0.3)])
def test_radius_is_attained_and_never_overturned(a: float, b: float) -> None:
    """The worst split in the two-class worst case, where shares move by whole deviations."""
    reach, angle = (a + b) / sqrt(2), np.linspace(0, pi / 2, 20_001)

    def lowest(length: float) -> float:
        moved = torch.tensor(np.stack([a - length * np.cos(angle), b - length * np.sin(angle)]))
        return float(torch.special.ndtr(moved).sum(0).min())

    if a - b <= sqrt(2) * reach:  # the even split leaves both halves between their two ends
        assert lowest(1.001 * reach) < 1 < lowest(0.999 * reach)
    assert lowest(0.999 * reach) > 1
    one, two = torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)
    for length in (0.0, 0.3, reach, 2.0):
        bound = float(least_votes(one, two, length))
        assert lowest(length) - 0.02 < bound <= lowest(length) + 1e-12


def linear(sigma: float) -> tuple[DualSmoothed, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A model that is linear on each half, 60 rows, and the exact quantiles of the shares."""
    g = torch.Generator().manual_seed(5)
    w = torch.randn(8, generator=g, dtype=torch.float64)
    x = torch.rand(60, 8, generator=g, dtype=torch.float64)
    quantiles, models = [], []
    for side in (0, 1):
        own = torch.where(torch.arange(8) % 2 == side, w, 0.0)

        def model(x: torch.Tensor, own: torch.Tensor = own) -> torch.Tensor:
            score = (x - 0.5) @ own
            return torch.stack([-score, score], 1)

        models.append(model)
        quantiles.append((x - 0.5) @ own / (sigma * own.norm()))
    return DualSmoothed(models[0], models[1], sigma, 64), x, quantiles[0], quantiles[1]


def test_linear_halves_have_exactly_that_radius() -> None:
    sigma = 0.3
    model, x, a, b = linear(sigma)
    y = (a + b > 0).long()
    exact = sigma * (a + b).abs() / sqrt(2)
    found = DualRadius(samples=20_000)(model, x, Untargeted(y), L2(radius=0.1))
    assert found.radius is not None
    assert (found.radius <= exact).all()
    near = (exact > 0.1) & (exact < 0.3)  # nearer ones may choose the wrong class
    assert (found.radius[near] > exact[near] - 0.03).all()
    assert torch.equal(found.proved, found.radius > 0.1)
    wrong = DualRadius(samples=500)(model, x, Untargeted(1 - y), L2(radius=0.0))
    assert not wrong.proved.any()
    # Attack the limit itself: the change of the radius's length, split in all ways.
    sign = torch.where(y == 1, 1.0, -1.0)
    for t in torch.linspace(0, pi / 2, 50):
        step = found.radius / sigma
        left = torch.special.ndtr(sign * a - step * t.cos())
        right = torch.special.ndtr(sign * b - step * t.sin())
        assert (left + right)[found.radius > 0].gt(1).all()


def test_level_is_kept_by_both_bounds_together() -> None:
    """P[some half's bound exceeds its share] by enumeration, at alpha / 2 each."""
    n, alpha = 50, 0.1
    bounds = clopper_pearson_lower(torch.arange(n + 1), n, alpha / 2).numpy()
    for p in (0.55, 0.8, 0.97):
        first = int(np.searchsorted(bounds, p, side="right"))
        each = float(binom.sf(first - 1, n, p))
        assert 1 - (1 - each) ** 2 <= alpha


def test_coins_abstain_and_others_are_refused() -> None:
    def coin(x: torch.Tensor) -> torch.Tensor:
        side = (x[:, 0] * 1e4).floor() % 2
        return torch.stack([side, 1 - side], 1)

    x = torch.rand(200, 4, dtype=torch.float64)
    model = DualSmoothing()(coin)
    found = DualRadius(samples=200)(model, x, Untargeted(torch.zeros(200).long()), L2(radius=0.0))
    assert found.proved.double().mean() < 0.02
    world = two_class()
    for args in (
        (world.model, world.goal, L2(radius=0.1)),
        (DualSmoothing(sigma=0.0)(world.model), world.goal, L2(radius=0.1)),
        (DualSmoothing()(world.model), world.goal, LInf(radius=0.1)),
        (DualSmoothing()(world.model), AtLeast(torch.zeros(16)), L2(radius=0.1)),
    ):
        with pytest.raises(Unsupported):
            DualRadius()(args[0], world.x, args[1], args[2])
