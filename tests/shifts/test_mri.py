"""Artefacts of scanners against their definitions, in slices and volumes."""

import math
from typing import get_args

import numpy as np
import pytest
import torch

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.layers.mri import Rescanned, Scan, Unrolled, cut_out
from holdfast.ops.mri import adjoint, consistent, lines, measured, normalised_error
from holdfast.shifts.mri import Artefact, mri_artifact
from holdfast.testing.worlds.phantoms import phantoms, scanned

VOLUMES = phantoms(4, Dice.of(4), (6, 16, 12))
KINDS = get_args(Artefact)


def batch_of(x):
    return Batch(x, torch.zeros(len(x), dtype=torch.long), torch.arange(len(x)))


def spoiled(kind, severity, x=VOLUMES):
    return mri_artifact(batch_of(x), severity, Dice.of(len(x)), kind=kind).x


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_grows_and_keeps_form_range_and_rows(kind):
    for x in (VOLUMES, VOLUMES[:, :, 3]):
        moved = [float((spoiled(kind, s, x) - x).abs().mean()) for s in (0.0, 0.2, 0.6, 1.0)]
        assert moved[0] == 0
        assert moved[1] > 0 or kind in ("motion", "interleaving")
        assert moved[1] <= moved[2] * 1.01 <= moved[3] * 1.02
        assert moved[3] > moved[1]
        out = spoiled(kind, 1.0, x)
        assert out.shape == x.shape
        assert ((out >= 0) & (out <= 1)).all()
        order = torch.tensor([2, 0])
        part = mri_artifact(batch_of(x).take(order), 1.0, Dice.of(4).part(order), kind=kind).x
        assert torch.allclose(part, out[order], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_small_and_odd_images_are_safe(kind):
    for shape in ((2, 1, 1, 1), (2, 1, 7, 5), (2, 1, 3, 1, 5)):
        x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        assert spoiled(kind, 0.7, x).isfinite().all()


def test_ghosting_and_gibbs_keep_the_mean_and_are_what_they_say():
    x = VOLUMES.double()
    k = torch.fft.fftn(x, dim=(2, 3, 4))
    factor = torch.ones(16).double()
    factor[1::2] = 1 - 0.1 * 3
    want = torch.fft.ifftn(k * factor[:, None], dim=(2, 3, 4)).abs().clamp(0, 1)
    got = spoiled("ghosting", 0.6, x)
    assert torch.allclose(got, want, atol=1e-6)
    for kind in ("ghosting", "gibbs"):
        out = spoiled(kind, 0.4, 0.5 * x + 0.2)  # away from 0, where the length bends
        assert torch.allclose(out.mean((2, 3, 4)), (0.5 * x + 0.2).mean((2, 3, 4)), atol=1e-3)


def test_noise_is_rician():
    x = torch.zeros(4, 1, 32, 32).double()
    out = spoiled("noise", 1.0, x)
    assert float(out.mean()) == pytest.approx(0.1 * math.sqrt(math.pi / 2), rel=0.02)
    bright = spoiled("noise", 1.0, x + 0.5)
    assert float(bright.std()) == pytest.approx(0.1, rel=0.05)


def test_interleaving_moves_every_second_slice_and_dropout_darkens_some():
    x = VOLUMES
    out = spoiled("interleaving", 0.8, x)  # by two pixels
    assert torch.equal(out[:, :, ::2], x[:, :, ::2])
    assert torch.allclose(out[:, :, 1::2, 1:-3], x[:, :, 1::2, 3:-1], atol=1e-5)
    dark = spoiled("dropout", 1.0, 0 * x + 1).mean((1, 3, 4))
    assert ((dark < 0.41).sum(1) == 1).all()
    assert ((dark == 1).sum(1) == 5).all()


def test_chemical_shift_is_a_moved_copy():
    x = torch.zeros(1, 1, 8, 64).double()
    x[..., 20] = 0.5
    out = spoiled("chemical-shift", 1.0, x)
    assert float(out[0, 0, 0, 20]) == pytest.approx(0.5)
    assert float(out[0, 0, 0, 30]) == pytest.approx(0.1)


def test_scan_is_the_adjoint_pair_and_its_mask_has_the_asked_lines():
    g = torch.Generator().manual_seed(1)
    mask = lines(12, 10, 3, 0.2, g).double()
    assert int(mask[0, 0, :, 0].sum()) == 4
    assert mask[0, 0, 0, 0] == 1
    coils = torch.randn(1, 3, 12, 10, generator=g, dtype=torch.complex128)
    x = torch.randn(2, 1, 12, 10, generator=g, dtype=torch.complex128)
    y = torch.randn(2, 3, 12, 10, generator=g, dtype=torch.complex128)
    left = (measured(x, mask, coils).conj() * y).sum()
    right = (x.conj() * adjoint(y, mask, coils)).sum()
    assert torch.allclose(left, right)
    full = torch.ones_like(mask)
    assert torch.allclose(adjoint(measured(x, full), full), x)


def test_data_consistency_is_the_minimum():
    g = torch.Generator().manual_seed(2)
    mask = lines(6, 5, 2, 0.2, g).double()
    x = torch.randn(1, 1, 6, 5, generator=g, dtype=torch.complex128)
    k = measured(torch.randn(1, 1, 6, 5, generator=g, dtype=torch.complex128), mask)

    def cost(z):
        return float(
            (measured(z, mask) - k).abs().square().sum() + 0.3 * (z - x).abs().square().sum()
        )

    best = consistent(x, k, mask, 0.3)
    for _ in range(5):
        near = best + 1e-3 * torch.randn(1, 1, 6, 5, generator=g, dtype=torch.complex128)
        assert cost(near) > cost(best)


def test_unrolled_with_an_exact_denoiser_and_turns_that_do_nothing():
    x = VOLUMES[:, :, 3].double()
    mask = lines(16, 12, 2, 0.2, torch.Generator().manual_seed(3)).double()
    scan = Scan(mask)

    class Knows(torch.nn.Module):
        def forward(self, z):
            return x

    net = Unrolled(mask, Knows(), rounds=2, weight=1e-6)
    found = net(scan(x))
    assert float(normalised_error(found, x).max()) < 0.2
    lossless = Rescanned(torch.nn.Identity(), Scan(torch.ones_like(mask)))
    assert lossless(x).abs().max() < 1e-12
    hole = cut_out(x + 1, torch.tensor([2] * 4), torch.tensor([3] * 4), 5)
    assert (hole[:, :, 2:7, 3:8] == 0).all()
    assert int((hole == 0).sum()) == 4 * 25


def test_scanners_change_gain_and_sharpness():
    out = scanned(VOLUMES, 0.5, 0.0, 0.0, Dice.of(4))
    assert torch.allclose(out, 0.5 * VOLUMES, atol=1e-6)
    soft = scanned(VOLUMES, 1.0, 1.0, 0.0, Dice.of(4))
    assert np.diff(soft.numpy(), axis=-1).std() < np.diff(VOLUMES.numpy(), axis=-1).std()
