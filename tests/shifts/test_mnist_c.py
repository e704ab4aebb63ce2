"""MNIST-C: each corruption against its formula, at 28 pixels and with the same draws."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.shifts import twins

from holdfast.core.catalog import find
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.shifts.mnist_c import RELEASED, SPATTERS

ANGLES = (0.2, 0.4, 0.6, 0.8, 1.0)


def digits(rows=3, side=28, seed=0):
    g = torch.Generator().manual_seed(seed)
    small = torch.rand(rows, 1, 7, 7, generator=g, dtype=torch.float64)
    x = torch.nn.functional.interpolate(small, (side, side), mode="bicubic")
    return (x.clamp(0, 1) * 255).round() / 255


def shifted(name, x, severity):
    batch = Batch(x, torch.zeros(len(x)).long(), torch.arange(len(x)))
    return find(f"shift:mnist-{name}").thing(batch, severity, Dice.of(len(x), 0)).x


def dice(name, rows=3):
    return Dice.of(rows, 0).spawn(f"mnist-{name}")


def signs(own):
    return 2.0 * own.integers(2).numpy() - 1


def test_fifteen_are_released_at_one_level_each():
    assert len(RELEASED) == 15
    for name, severity in RELEASED.items():
        assert find(f"shift:{name}").cites == ("mnist-c",)
        assert round(5 * severity) in range(1, 6)


@pytest.mark.parametrize("level", [1, 2, 5])
@pytest.mark.parametrize("name", ["shear", "scale", "rotate"])
def test_affine(name, level):
    x = digits()
    sign = signs(dice(name)) if name != "scale" else np.ones(3)
    got = shifted(name, x, level / 5)
    for image, out, s in zip(x, got, sign, strict=True):
        c = s * ANGLES[level - 1]
        k = 1 / (1 - 0.1 * level)
        a = {
            "shear": [[1, -math.sin(c)], [0, math.cos(c)]],
            "rotate": [[math.cos(c), -math.sin(c)], [math.sin(c), math.cos(c)]],
            "scale": [[k, 0], [0, k]],
        }[name]  # of (column, row)
        turn = np.array(a)[::-1, ::-1]
        middle = np.full(2, 13.5)
        want = ndimage.affine_transform(
            image[0].numpy(), turn, middle - turn @ middle, order=1, mode="grid-constant"
        )
        assert np.abs(out[0].numpy() - want).max() < 1e-9


@pytest.mark.parametrize("name", ["shear", "scale", "rotate"])
def test_the_middle_of_an_odd_image_stays(name):
    x = digits(side=27)
    assert torch.allclose(shifted(name, x, 1.0)[..., 13, 13], x[..., 13, 13])


@pytest.mark.parametrize("level", [1, 3, 5])
def test_translate_is_a_roll_inside(level):
    x = digits()
    own = dice("translate")
    dx, dy = signs(own) * level, signs(own) * level
    for image, out, u, v in zip(x, shifted("translate", x, level / 5), dx, dy, strict=True):
        rolled = torch.roll(image[0], (int(-v), int(-u)), (0, 1))
        inner = slice(5, 23)
        assert torch.equal(out[0, inner, inner], rolled[inner, inner])
        assert float(out.sum()) <= float(image.sum())


def test_brightness_lifts_the_background():
    x = digits()
    for level in range(1, 6):
        want = (x + level / 10).clamp(0, 1)
        assert torch.allclose(shifted("brightness", x, level / 5), want)


def test_stripe_twice_is_the_identity():
    x = digits()
    once = shifted("stripe", x, 1.0)
    assert torch.allclose(once[..., :7], 1 - x[..., :7])
    assert torch.equal(once[..., 7:21], x[..., 7:21])
    assert torch.allclose(once[..., 21:], 1 - x[..., 21:])
    assert torch.allclose(shifted("stripe", once, 1.0), x)


def test_fog_is_the_corner_of_large_clouds():
    x = digits()
    draws = dice("fog").uniform((256 * 256 - 1,), dtype=torch.float64).numpy()
    for image, out, own in zip(x[:1], shifted("fog", x, 1.0), draws, strict=False):
        top = float(image.max())
        sky = twins.plasma(own, 256, 1.4)[:28, :28]
        want = (image[0].numpy() + 3 * sky) * top / (top + 3)
        assert np.abs(out[0].numpy() - want).max() < 1e-9


@pytest.mark.parametrize("level", [1, 4])
def test_spatter_is_mud_at_every_level(level):
    x = digits()
    noise = dice("spatter").normal((1, 28, 28), dtype=torch.float64).numpy()
    row = SPATTERS.at(level / 5, 28)
    assert row == twins.ROWS["spatter"][224][level - 1]
    for image, out, own in zip(x, shifted("spatter", x, level / 5), noise, strict=True):
        cover = twins.mud(own[0], row)
        want = image[0].numpy() * (1 - cover) + cover * 63 / 255
        assert np.abs(out[0].numpy() - want).max() < 1e-9


def test_glass_exchanges_half_of_the_pixels():
    x = digits()
    own, steps, stays = dice("glass-blur"), [], []
    for _ in range(2):
        steps.append(own.integers(2, (2, 26, 26)) - 1)
        stays.append(own.uniform((26, 26)) < 0.5)
    for i, out in enumerate(shifted("glass-blur", x, 0.2)):
        want = twins.glass(
            x[i].permute(1, 2, 0).numpy(), 0.7, 1, [s[i].numpy() for s in steps],
            [s[i].numpy() for s in stays], swap=True,
        )  # fmt: skip
        assert np.abs(out[0].numpy() - want[..., 0]).max() < 1e-9


def test_dotted_line():
    x = torch.zeros(5, 1, 28, 28, dtype=torch.float64)
    rows = dice("dotted-line", 5).integers(27, (2,)).tolist()
    for out, (r0, r1) in zip(shifted("dotted-line", x, 1.0), rows, strict=True):
        want = twins.line(0, r0, 27, r1)
        want[:, [c for c in range(28) if c // 2 % 2 == 0]] = 0
        assert np.abs(out[0].numpy() - want).max() < 1e-12


def test_zigzag():
    x = torch.zeros(8, 1, 28, 28, dtype=torch.float64)
    own = dice("zigzag", 8)
    start, rise = own.integers(27).tolist(), (own.integers(10) - 5).tolist()
    for out, r0, up in zip(shifted("zigzag", x, 1.0), start, rise, strict=True):
        assert np.abs(out[0].numpy() - twins.zigzag(r0, up)).max() < 1e-9


def test_canny_edges():
    x = digits()
    for image, out in zip(x, shifted("canny-edges", x, 1.0), strict=True):
        assert np.array_equal(out[0].numpy() > 0, twins.canny(image[0].numpy(), 1, 0.1, 0.2))


def test_noise_has_the_strength_of_large_images():
    x = torch.full((20, 1, 28, 28), 0.4)
    out = shifted("shot-noise", x, 0.2)
    assert out.mean() == pytest.approx(0.4, rel=0.01)
    assert out.var() == pytest.approx(0.4 / 60, rel=0.05)
    hit = (shifted("impulse-noise", x, 0.8) != 0.4).float().mean()
    assert hit == pytest.approx(0.17, rel=0.05)


def test_what_has_no_levels_is_blended_in():
    x = digits()
    for name in ("stripe", "dotted-line", "zigzag", "canny-edges"):
        full, half = shifted(name, x, 1.0), shifted(name, x, 0.4)
        inside = (full > 0) & (full < 1)  # where nothing was clipped
        assert torch.allclose(half[inside], (x + 0.4 * (full - x))[inside])
