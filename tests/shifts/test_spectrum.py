"""Masks of the spectrum partition it; sketches and negatives by their formulas."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.catalog import find
from holdfast.core.data import Batch
from holdfast.ops.frequency import bandpass, conflict, distance, filtered, octave_noise
from holdfast.shifts.spectrum import sketched

X = torch.rand(3, 2, 16, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def shifted(name: str, severity: float) -> torch.Tensor:
    batch = Batch(X, torch.zeros(3).long(), torch.arange(3))
    return find(f"shift:{name}").thing(batch, severity, None).x


def test_everything_at_one():
    assert torch.allclose(bandpass(X, 1.0), X) and torch.allclose(bandpass(X, 1.0, low=False), X)


@pytest.mark.parametrize("cutoff", [0.01, 0.3, 0.5, 0.9])
def test_passes_partition_the_spectrum(cutoff):
    both = bandpass(X, cutoff) + bandpass(X, 1 - cutoff, low=False)
    assert torch.allclose(both, X)


def test_a_wave_passes_or_not():
    wave = torch.cos(2 * torch.pi * 4 * torch.arange(16).double() / 16).expand(1, 1, 16, 16)
    assert torch.allclose(bandpass(wave, 0.75), wave, atol=1e-12)  # window from -6 to 5
    assert float(bandpass(wave, 0.4).abs().max()) < 1e-12  # from -3 to 2


def test_discs_and_random_masks_keep_the_mean():
    whole = distance(16, 12) <= 1e9
    assert torch.allclose(filtered(X, whole), X)
    for name in ("radial-kernel", "random-kernel"):
        out = shifted(name, 0.6)
        assert torch.allclose(out.mean((2, 3)), X.mean((2, 3)), atol=0.02)
    least = shifted("radial-kernel", 1.0)
    assert torch.allclose(least, X.mean((2, 3), keepdim=True).expand_as(X))


def test_a_tenth_of_the_frequencies_goes():
    batch = Batch(torch.rand(40, 1, 32, 32).double(), torch.zeros(40).long(), torch.arange(40))
    change = find("shift:random-kernel").thing(batch, 1.0, None).x - batch.x
    lost = torch.fft.fft2(change).abs().square().sum((1, 2, 3))
    full = torch.fft.fft2(batch.x - batch.x.mean((2, 3), keepdim=True)).abs().square()
    assert float((lost / full.sum((1, 2, 3))).mean()) == pytest.approx(0.1 * 0.55, rel=0.6)


def test_negative_twice_is_the_image():
    once = Batch(shifted("negative-colour", 1.0), torch.zeros(3).long(), torch.arange(3))
    assert torch.allclose(once.x, 1 - X)
    assert torch.allclose(find("shift:negative-colour").thing(once, 1.0, None).x, X)


def test_sketches_are_white_but_for_edges():
    step = torch.full((1, 1, 16, 16), 0.2).double()
    step[..., 8:] = 0.8
    lines = sketched(step, 1.0)
    assert torch.allclose(lines[..., :4], torch.ones(()).double(), atol=1e-6)
    assert torch.allclose(lines[..., 12:], torch.ones(()).double(), atol=1e-6)
    assert float(lines[..., 7].max()) < 0.8


def test_octaves_and_phases():
    ring = octave_noise(torch.randn(4, 1, 32, 32, dtype=torch.float64), 2)
    assert torch.allclose(ring.square().mean((1, 2, 3)), torch.ones(4).double())
    power = torch.fft.fftshift(torch.fft.fft2(ring).abs(), dim=(-2, -1)).amax((0, 1))
    far = distance(32, 32)
    assert float(power[(far < 2**1.5) | (far >= 2**2.5)].max()) < 1e-9
    assert torch.allclose(conflict(X, X), X, atol=1e-12)
