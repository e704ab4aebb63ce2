"""Smoothing and temperature scaling against closed forms and scipy."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import minimize_scalar

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.defend.smoothed import smoothed
from holdfast.defend.temperature import Temperature, best_temperature
from holdfast.testing.worlds import three_class, two_class


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_temperature_equals_scipy(factor: float) -> None:
    g = torch.Generator().manual_seed(0)
    z = factor * torch.randn(400, 5, generator=g, dtype=torch.float64)
    y = torch.distributions.Categorical(logits=z / factor).sample()

    def loss(t: float) -> float:
        return float(torch.nn.functional.cross_entropy(z / t, y))

    best = minimize_scalar(loss, bounds=(1e-2, 1e2), method="bounded", options={"xatol": 1e-9})
    assert best_temperature(z, y) == pytest.approx(best.x, rel=1e-5)


def test_known_distortion_is_recovered() -> None:
    g = torch.Generator().manual_seed(1)
    true = torch.randn(20_000, 4, generator=g, dtype=torch.float64)
    y = torch.multinomial(true.softmax(1), 1, generator=g)[:, 0]
    assert best_temperature(3 * true, y) == pytest.approx(3, rel=0.05)


def test_separable_rows_end_cold_and_wrong_ones_hot() -> None:
    z = torch.eye(3, dtype=torch.float64)
    assert 1e-3 <= best_temperature(z, torch.arange(3)) < 0.05  # loss 0 to rounding
    assert best_temperature(z, torch.tensor([1, 2, 0])) == pytest.approx(1e3, rel=0.01)


def test_fit_leaves_decisions_and_lowers_the_loss() -> None:
    world = three_class(rows=64)
    y = torch.where(torch.arange(64) % 5 == 0, (world.y + 1) % 3, world.y)
    y[3] = -100
    trusted = Batches(x=world.x, y=y, size=10)
    fitted = Temperature().fit(world.model, trusted)
    before, after = world.model(world.x), fitted(world.model)(world.x)
    assert torch.equal(before.argmax(1), after.argmax(1))
    nll = torch.nn.functional.cross_entropy
    assert nll(after, y) < nll(before, y)
    with pytest.raises(ShapeError):
        Temperature().fit(world.model, Batches(x=world.x, y=torch.full((64,), -100)))


def test_smoothed_frequencies_approach_the_normal_distribution() -> None:
    world = two_class()
    model = smoothed(world.model, sigma=0.2, samples=20_000)
    with torch.no_grad():
        share = model(world.x).exp().gather(1, world.y[:, None])[:, 0]
    exact = torch.special.ndtr(world.radius(2.0) / 0.2)
    assert (share - exact).abs().max() < 0.02


def test_smoothed_sigma_zero_and_bad_settings() -> None:
    world = two_class()
    assert torch.equal(smoothed(world.model, sigma=0.0)(world.x), world.model(world.x))
    for wrong in ({"sigma": -1.0}, {"samples": 0}, {"sigma": float("nan")}):
        with pytest.raises(ConfigError):
            smoothed(world.model, **wrong)
