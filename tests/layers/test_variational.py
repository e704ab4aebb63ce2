"""Variational layers: limits of the penalty, moments of the draws, zeros that stay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.hooks.sparse import Anneal, KeepZeros
from holdfast.layers.variational import Variational, divergence, variational, without_noise
from holdfast.run.loop import Training


def test_the_penalty_falls_with_the_noise():
    grid = torch.linspace(-10, 40, 500, dtype=torch.float64)
    values = divergence(grid)
    assert bool((values.diff() < 0).all()) and float(values[-1]) == pytest.approx(0, abs=1e-9)
    assert float(divergence(torch.tensor(-30.0))) > 15


def test_draws_have_the_moments_of_noisy_weights():
    torch.manual_seed(0)
    layer = Variational(nn.Linear(6, 2), 10)
    with torch.no_grad():
        layer.log_variance.copy_(torch.randn(2, 6) - 1)
    x = torch.rand(1, 6)
    many = layer.train()(x.expand(20000, 6))
    variance = layer.log_variance.exp().clamp(max=1e9)
    assert torch.allclose(many.mean(0), layer.inner(x)[0], atol=0.03)
    assert torch.allclose(many.var(0), (variance @ x[0] ** 2), rtol=0.05)
    assert torch.equal(layer.eval()(x), layer.inner(x))


def test_without_noise_it_is_the_plain_layer():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)).double()
    noisy = variational(net, 100)
    for m in noisy.modules():
        if isinstance(m, Variational):
            m.log_variance.data.fill_(-60.0)
    x = torch.rand(5, 1, 6, 6, dtype=torch.float64)
    assert torch.allclose(noisy.train()(x), net(x), atol=1e-1)
    back = without_noise(noisy)
    assert torch.equal(back(x), net(x)) and not any(
        isinstance(m, Variational) for m in back.modules()
    )
    noisy[3].log_variance.data[:2] = 40.0
    assert float((without_noise(noisy)[3].weight == 0).double().mean()) == 0.5
    with pytest.raises(Unsupported):
        Variational(nn.ReLU(), 3)


def test_zeros_stay_and_the_weight_grows():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    net[0].weight.data[:, 1] = 0
    x = torch.rand(40, 4)
    data = Batches(x=x, y=(x[:, 1] > 0.5).long(), size=10)
    before = net[0].weight.detach().clone()
    Training(epochs=2, hooks=(KeepZeros(),))(net, data)
    assert bool((net[0].weight[:, 1] == 0).all()) and not torch.equal(net[0].weight, before)
    noisy = variational(net, 40)
    run = Training(epochs=2, hooks=(Anneal(until=1.0),))(noisy, data)
    assert float(noisy[0].weight) == run.progress == 1.0
