"""Prices on logits and unsure labels: optima and gradients in closed form."""

import pytest
import torch
import torch.nn.functional as F

from holdfast.core.errors import ConfigError
from holdfast.losses.decoupled import spectral_decoupling

G = torch.Generator().manual_seed(0)
Z, Y = torch.randn(20, 5, generator=G).double(), torch.randint(5, (20,), generator=G)


def test_price_on_logits_and_its_gradient():
    z = Z.clone().requires_grad_()
    loss = spectral_decoupling(z, Y, weight=0.3)
    truth = F.cross_entropy(Z, Y, reduction="none") + 0.15 * Z.square().sum(1)
    assert torch.allclose(loss, truth)
    (slope,) = torch.autograd.grad(loss.sum(), z)
    assert torch.allclose(slope, Z.softmax(1) - F.one_hot(Y, 5) + 0.3 * Z)
    moved = spectral_decoupling(Z, Y, weight=0.3, centre=1.0)
    assert torch.allclose(moved - loss.detach(), 0.15 * (1 - 2 * Z).sum(1))
    shares = torch.rand(20, 5, generator=G).double().softmax(1)
    mixed = F.cross_entropy(Z, shares, reduction="none") + 0.15 * Z.square().sum(1)
    assert torch.allclose(spectral_decoupling(Z, shares, weight=0.3), mixed)


def test_the_optimum_of_one_margin_is_known():
    weight, a = 0.2, torch.zeros((), dtype=torch.float64, requires_grad=True)
    for _ in range(400):
        z = torch.stack([-a, a])[None]
        (slope,) = torch.autograd.grad(
            spectral_decoupling(z, torch.tensor([1]), weight=weight).sum(), a
        )
        a = (a.detach() - 0.5 * slope).requires_grad_()
    assert float(torch.sigmoid(-2 * a.detach())) == pytest.approx(weight * float(a.detach()))


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError):
        spectral_decoupling(Z, Y, weight=-1.0)
