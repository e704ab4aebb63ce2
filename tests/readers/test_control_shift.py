"""Regions of latent numbers: masses by counting, images by their latent numbers."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.ops.supports import Shell, Slab
from holdfast.readers.synthetic.control_shift import control_shift, regions, render

N = 20000


def numbers(size: int = 6, seed: int = 0) -> torch.Tensor:
    return Dice.of(N, seed).normal((size,), dtype=torch.float64)


@pytest.mark.parametrize("kind", ["overlap", "extend"])
@pytest.mark.parametrize("intensity", [0.0, 0.3, 0.5])
def test_the_intensity_is_what_membership_counts(kind: str, intensity: float) -> None:
    made = control_shift(10, Dice.of(10), kind=kind, intensity=intensity, mass=0.5)
    truth = made.truth
    moved = truth.test.inside(numbers())
    assert bool(truth.test.holds(moved).double().mean() > 0.999)
    outside = float((~truth.train.holds(moved)).double().mean())
    assert outside == pytest.approx(intensity, abs=0.02)
    assert truth.intensity == pytest.approx(intensity, abs=1e-12)


def test_truncation_brings_nothing_new() -> None:
    direction = torch.tensor([0.6, 0.8]).double()
    train, test = regions("truncate", 0.8, 0.5, direction)
    assert bool(train.holds(test.inside(numbers(2))).all()) and test.mass == pytest.approx(0.3)


def test_slabs_follow_the_normal_distribution_within() -> None:
    direction = torch.tensor([0.6, 0.8]).double()
    whole = Slab(direction, 0.0, 1.0)
    z = numbers(2)
    assert torch.allclose(whole.inside(z), z, atol=1e-9)
    part = Slab(direction, 0.2, 0.7)
    moved = part.inside(z)
    share = torch.special.ndtr(moved @ direction)
    assert kstest(((share - 0.2) / 0.5).numpy(), "uniform").pvalue > 1e-3
    across = torch.tensor([-0.8, 0.6]).double()
    assert torch.allclose(moved @ across, z @ across, atol=1e-9)
    kept = z[part.holds(z)] @ direction
    assert float((moved @ direction).mean()) == pytest.approx(float(kept.mean()), abs=0.02)


def test_shells_have_their_mass() -> None:
    shell, z = Shell(5, 0.3, 0.6), numbers(5)
    length = shell.inside(z).norm(dim=1)
    known = z.norm(dim=1)
    inside = (known >= length.min()) & (known <= length.max())
    assert float(inside.double().mean()) == pytest.approx(shell.mass, abs=0.02)
    assert shell.common(Shell(5, 0.5, 0.9)) == pytest.approx(0.1)


def test_images_are_the_renderings_of_their_numbers() -> None:
    made = control_shift(60, Dice.of(60), intensity=0.5)
    assert torch.equal(made.x, render(made.y, made.truth.z))
    bright = made.x.flatten(1).amax(1)
    assert float(bright.min()) > 0.3 and len(made.x.flatten(1).unique(dim=0)) == 60


def test_too_much_mass_is_refused() -> None:
    for settings in ({"mass": 0.7, "intensity": 0.9}, {"kind": "extend", "intensity": 0.9}):
        with pytest.raises(ConfigError):
            control_shift(5, Dice.of(5), **settings)
