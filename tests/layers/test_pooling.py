"""Low-pass pooling on waves whose fate is known."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.errors import ShapeError
from holdfast.layers.pooling import LowPassPool2d

POOL = LowPassPool2d()


def wave(down, across, side=16):
    t = torch.arange(side).double() * 2 * torch.pi / side
    return torch.cos(down * t[:, None] + across * t[None] + 0.3)[None, None]


def test_a_constant_stays():
    assert torch.allclose(POOL(torch.full((2, 3, 8, 6), 0.7)), torch.full((2, 3, 4, 3), 0.7))


@pytest.mark.parametrize(("down", "across"), [(1, 0), (0, 3), (2, 3), (3, -2)])
def test_low_waves_are_sampled_at_every_second_pixel(down, across):
    x = wave(down, across)
    torch.testing.assert_close(POOL(x), x[:, :, ::2, ::2])


@pytest.mark.parametrize(("down", "across"), [(5, 0), (0, 7), (6, 1), (1, -5)])
def test_high_waves_are_gone(down, across):
    assert POOL(wave(down, across)).abs().max() < 1e-12
    assert wave(down, across)[:, :, ::2, ::2].abs().max() > 0.5  # a stride would fold them


def test_it_is_linear_with_a_gradient_and_refuses_odd_sides():
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 1, 2, 8, 8, generator=g, dtype=torch.float64)
    torch.testing.assert_close(POOL(2 * x - y), 2 * POOL(x) - POOL(y))
    assert torch.autograd.gradcheck(POOL, x.requires_grad_())
    with pytest.raises(ShapeError):
        POOL(torch.zeros(1, 1, 7, 8))
