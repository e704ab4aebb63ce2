"""Denoisers before a model: identities, and the exact answer for normal data."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Untargeted
from holdfast.defend.denoised import DenoisedSmoothing, OneStep, Wiener
from holdfast.defend.smoothed import smoothed
from holdfast.testing.worlds import Linear, three_class
from holdfast.threats.norms import L2

KEPT = torch.cumprod(1 - torch.linspace(1e-4, 0.2, 200, dtype=torch.float64), 0)


def test_the_identity_is_plain_smoothing() -> None:
    world = three_class()
    plain = smoothed(world.model, sigma=0.2)
    same = DenoisedSmoothing(denoiser=lambda x: x, sigma=0.2)(world.model)
    assert torch.equal(plain(world.x), same(world.x))
    a, b = (Smoothing()(m, world.x, world.goal, L2(radius=0.05)) for m in (plain, same))
    assert torch.equal(a.margin, b.margin)
    with pytest.raises(ConfigError):
        DenoisedSmoothing()(world.model)


def test_radius_through_an_affine_denoiser_has_a_closed_form() -> None:
    """A linear model behind a shrinking denoiser is linear: the distance of its own boundary."""
    world, sigma = Linear.make(2, 60, 8), 0.25
    shrink = Wiener(0.5, 0.3, sigma)
    model = DenoisedSmoothing(denoiser=shrink, sigma=sigma)(world.model)
    y = world.model(shrink(world.x)).argmax(1)
    kept = 0.3**2 / (0.3**2 + sigma**2)
    distance = replace(world, x=shrink(world.x), y=y).radius(2.0) / kept
    goal = Untargeted(y)
    found = Smoothing(samples=20_000)(model, world.x, goal, L2(radius=0.1))
    assert found.radius is not None
    assert (found.radius <= distance).all()
    near = (distance > 0.1) & (distance < 0.4)
    assert (found.radius[near] > distance[near] - 0.03).all()


@pytest.mark.parametrize("sigma", [0.1, 0.25, 0.5])
def test_one_step_of_a_perfect_diffusion_model_is_the_posterior_mean(sigma: float) -> None:
    """For normal pixels the best guess of the noise is linear, and the denoiser Wiener's."""
    mean, deviation = 0.4, 0.1

    def noise(seen: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        kept = KEPT[steps][:, None]
        spread = kept * (2 * deviation) ** 2 + 1 - kept
        return (1 - kept).sqrt() / spread * (seen - kept.sqrt() * (2 * mean - 1))

    step = OneStep(noise, KEPT, sigma)
    x = torch.rand(6, 5, dtype=torch.float64)
    level = ((1 - step.kept) / step.kept) ** 0.5 / 2  # the nearest level there is
    assert abs(level - sigma) < 0.03 * sigma + 0.005
    assert torch.allclose(step(x), Wiener(mean, deviation, level)(x), atol=1e-9)
    with pytest.raises(ConfigError):
        OneStep(noise, KEPT[:20], 0.5)
