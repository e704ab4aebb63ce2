"""Smoothed labels against torch, and where their loss is least."""

import math

import pytest
import torch
import torch.nn.functional as F

from holdfast.core.errors import ConfigError
from holdfast.losses.smoothed import label_smoothing


def world() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    z = 2 * torch.randn(9, 4, generator=g, dtype=torch.float64)
    return z, torch.randint(4, (9,), generator=g)


def test_is_torchs_and_others_give_the_label_its_share_exactly() -> None:
    z, y = world()
    for amount in (0.0, 0.1, 0.6):
        expected = F.cross_entropy(z, y, label_smoothing=amount, reduction="none")
        assert torch.allclose(label_smoothing(z, y, amount=amount), expected, atol=1e-12)
        shares = torch.full((9, 4), amount / 3).double().scatter(1, y[:, None], 1 - amount)
        expected = F.cross_entropy(z, shares, reduction="none")
        ours = label_smoothing(z, y, amount=amount, spread="others")
        assert torch.allclose(ours, expected, atol=1e-12)
    soft = F.one_hot(y, 4).double()
    assert torch.allclose(label_smoothing(z, soft), label_smoothing(z, y), atol=1e-12)


def test_least_where_the_label_leads_by_the_closed_form() -> None:
    y = torch.arange(4)
    gap = math.log((1 - 0.2 + 0.05) / 0.05)
    z = (gap * torch.eye(4).double()).requires_grad_()
    losses = label_smoothing(z, y, amount=0.2)
    (slope,) = torch.autograd.grad(losses.sum(), z)
    assert slope.abs().max() < 1e-12
    shares = torch.tensor([0.85, 0.05, 0.05, 0.05]).double()
    assert torch.allclose(losses, -(shares * shares.log()).sum().expand(4), atol=1e-12)


@pytest.mark.parametrize("wrong", [{"amount": 1.0}, {"amount": -0.1}, {"spread": "some"}])
def test_refuses_what_is_no_smoothing(wrong) -> None:
    with pytest.raises(ConfigError, match="label_smoothing"):
        label_smoothing(*world(), **wrong)
    with pytest.raises(ConfigError, match="ahead"):
        label_smoothing(*world(), amount=0.8, spread="others")
