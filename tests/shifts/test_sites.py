"""Differences between sites against their definitions."""

import numpy as np
import torch

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.shifts.sites import amplitude_mix, stain_jitter, stains, style_mix


def test_stain_jitter_recomposes_densities_pixel_by_pixel():
    x = 0.1 + 0.8 * torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
    batch = Batch(x, torch.zeros(2).long(), torch.arange(2))
    out = stain_jitter(batch, 1.0, Dice.of(2)).x
    basis = stains().numpy()
    u = 2 * Dice.of(2).spawn("stain-jitter").uniform((2, 3), dtype=torch.float64).numpy() - 1
    for b in range(2):
        for i in range(4):
            for j in range(5):
                amounts = -np.log(x[b, :, i, j].numpy()) @ np.linalg.inv(basis)
                amounts = amounts * (1 + 0.5 * u[b, 0]) + 0.1 * u[b, 1]
                want = np.clip(np.exp(-amounts @ basis), 0, 1)
                assert np.allclose(out[b, :, i, j].numpy(), want)
    assert torch.equal(stain_jitter(batch, 0.0, Dice.of(2)).x, x)


def test_amplitudes_are_mixed_and_phases_kept():
    g = torch.Generator().manual_seed(1)
    a, b = (torch.rand(2, 1, 6, 6, generator=g).double() for _ in range(2))
    assert torch.allclose(amplitude_mix(a, b, 0.0), a)
    k = torch.fft.fft2(amplitude_mix(a, b, 1.0))
    assert torch.allclose(k.abs(), torch.fft.fft2(b).abs())
    assert torch.allclose(k.angle().cos(), torch.fft.fft2(a).angle().cos(), atol=1e-6)


def test_style_is_exchanged():
    f = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(2)).double()
    order = torch.tensor([1, 2, 0])
    assert torch.allclose(style_mix(f, order, torch.ones(3).double()), f)
    other = style_mix(f, order, torch.zeros(3).double())
    assert torch.allclose(other.mean((2, 3)), f[order].mean((2, 3)))
    assert torch.allclose(other.std((2, 3)), f[order].std((2, 3)), atol=1e-4)
