"""Sensitivity of models whose gradients are known; features fitted exactly."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.layers.features import RandomFeatures, TangentFeatures
from holdfast.measures.model.sensitivity import sensitivity
from holdfast.testing.worlds import three_class


def rows(count: int = 12, size: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(2)
    return torch.randn(count, size, generator=g).double(), torch.randn(count, generator=g).double()


def test_of_a_linear_model() -> None:
    world = three_class()
    weight = world.model.weight.detach()
    found = sensitivity(world.model, Batches(x=world.x, y=world.y), steps=60).values
    expected = torch.linalg.matrix_norm(weight, 2) * world.x.norm(dim=1)
    assert torch.allclose(found, expected, rtol=1e-6)


def test_does_not_depend_on_the_scale_of_the_inputs() -> None:
    x, y = rows()
    model = RandomFeatures(5, 40).fitted(x, y)
    plain = sensitivity(model, Batches(x=x, y=y), steps=2).values
    small = sensitivity(lambda z: model(10 * z), Batches(x=x / 10, y=y), steps=2).values
    assert torch.allclose(plain, small, rtol=1e-9)


@pytest.mark.parametrize("kind", [RandomFeatures, TangentFeatures])
@pytest.mark.parametrize("bend", ["relu", "tanh"])
def test_features_fit_and_their_slopes_are_those_of_differences(kind, bend: str) -> None:
    x, y = rows()
    model = kind(5, 60, bend=bend, seed=1).fitted(x, y)
    assert torch.allclose(model(x)[:, 0], y, atol=1e-6)
    z = x[:1].clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(z).sum(), z)
    step = 1e-6 * torch.eye(5).double()
    finite = (model(x[:1] + step) - model(x[:1] - step))[:, 0] / 2e-6
    assert torch.allclose(slope[0], finite, atol=1e-6)
    found = sensitivity(model, Batches(x=x[:1], y=y[:1]), steps=2).values
    assert float(found[0]) == pytest.approx(float(slope.norm() * x[:1].norm()), rel=1e-9)


def test_the_solution_is_the_shortest_one() -> None:
    x, y = rows()
    model = TangentFeatures(5, 9, bend="tanh").fitted(x, y)
    features = (model.bent(x)[:, :, None] * x[:, None]).flatten(1)
    shortest = torch.linalg.lstsq(features, y[:, None], driver="gelsd").solution[:, 0]
    assert torch.allclose(model.theta.flatten(), shortest, atol=1e-6)


def test_refuses() -> None:
    with pytest.raises(ConfigError):
        RandomFeatures(0, 3)
    with pytest.raises(ShapeError):
        RandomFeatures(4, 3).fitted(*rows())
