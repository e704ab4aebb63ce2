"""Shifts against closed forms, trusted libraries and the published tables."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from holdfast.core.catalog import entries, find
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.ops.image import cloud_draws, clouds, coarse, smear
from holdfast.ops.jpeg import jpeg, steps
from holdfast.ops.light import photographed, poisson
from holdfast.shifts.blur import MOTION
from holdfast.shifts.digital import CONTRAST, PIXELS, QUALITY
from holdfast.shifts.noise import GAUSSIAN, IMPULSE, SHOT
from holdfast.shifts.weather import BRIGHT, FOG
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.shift import law_change_grows_with_severity

NAMES = [e.name for e in entries("shift")]


def batch_of(x):
    return Batch(x, torch.zeros(len(x), dtype=torch.long), torch.arange(len(x)))


def shifted(name, x, severity, seed=0):
    return find(f"shift:{name}").thing(batch_of(x), severity, Dice.of(len(x), seed)).x


def pictures(rows, channels, side, seed=0):
    g = torch.Generator().manual_seed(seed)
    small = torch.rand(rows, channels, 5, 5, generator=g)
    x = torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)
    return (x * 255).round() / 255


def test_the_first_nine_are_there():
    assert {
        "gaussian-noise", "shot-noise", "impulse-noise", "motion-blur", "fog", "contrast",
        "brightness", "pixelate", "jpeg",
    } <= set(NAMES)  # fmt: skip


TABLES = {
    "gaussian": GAUSSIAN, "shot": SHOT, "impulse": IMPULSE, "motion": MOTION, "fog": FOG,
    "bright": BRIGHT, "contrast": CONTRAST, "pixels": PIXELS, "quality": QUALITY,
}  # fmt: skip
# Strengths as published, levels 1 to 5, at 32, 64 and 224 pixels (what one size lacks it shares
# with the next smaller one). Shot noise is published as counts at full brightness.
PUBLISHED = {
    "gaussian": (
        (0.04, 0.06, 0.08, 0.09, 0.10), (0.04, 0.08, 0.12, 0.15, 0.18),
        (0.08, 0.12, 0.18, 0.26, 0.38),
    ),
    "shot": (
        (1 / 500, 1 / 250, 1 / 100, 1 / 75, 1 / 50), (1 / 250, 1 / 100, 1 / 50, 1 / 30, 1 / 15),
        (1 / 60, 1 / 25, 1 / 12, 1 / 5, 1 / 3),
    ),
    "impulse": (
        (0.01, 0.02, 0.03, 0.05, 0.07), (0.01, 0.02, 0.05, 0.08, 0.14),
        (0.03, 0.06, 0.09, 0.17, 0.27),
    ),
    "motion": (
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    ),
    "fog": (
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    ),
    "bright": ((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (
        (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05), (0.4, 0.3, 0.2, 0.1, 0.05),
    ),
    "pixels": (
        (0.95, 0.9, 0.85, 0.75, 0.65), (0.9, 0.8, 0.7, 0.6, 0.5), (0.6, 0.5, 0.4, 0.3, 0.25),
    ),
    "quality": ((80, 65, 58, 50, 40), (65, 58, 50, 40, 25), (25, 18, 15, 10, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_levels_are_met_at_published_sizes(name):
    table = TABLES[name]
    for size, levels in zip((32, 64, 224), PUBLISHED[name], strict=True):
        for level, row in enumerate(levels, 1):
            want = row if isinstance(row, tuple) else (row,)
            assert table.at(level / 5, size) == pytest.approx(want)
            below = table.at((level - 1) / 5, size)
            between = table.at((level - 0.5) / 5, size)  # levels are interpolated
            assert between == pytest.approx([(a + b) / 2 for a, b in zip(below, want, strict=True)])


@pytest.mark.parametrize("name", PUBLISHED)
def test_between_published_sizes_the_parameters_lie_between(name):
    """Lengths as shares of the shorter side; outside the published sizes the nearest one's."""
    table = TABLES[name]
    lengths = table.lengths or (False,) * len(table.none)

    def shares(severity, size):
        row = table.at(severity, size)
        return [v / size if own else v for v, own in zip(row, lengths, strict=True)]

    for severity in (0.2, 0.5, 1.0):
        for small, large in ((32, 64), (64, 224)):
            ends = list(zip(shares(severity, small), shares(severity, large), strict=True))
            middle = shares(severity, round(math.sqrt(small * large)))
            for value, (a, b) in zip(middle, ends, strict=True):
                assert min(a, b) - 1e-9 <= value <= max(a, b) + 1e-9
                assert value == pytest.approx((a + b) / 2, rel=0.02)
        assert shares(severity, 8) == pytest.approx(shares(severity, 32))
        assert shares(severity, 512) == pytest.approx(shares(severity, 224))


def test_kernel_sizes_scale_with_the_shorter_side():
    assert MOTION.at(1.0, 448) == pytest.approx((40, 30))
    assert MOTION.at(1.0, 16) == pytest.approx((4.5, 1.25))
    x = torch.zeros(1, 1, 64, 200)  # one bright dot: how far it is smeared is the kernel
    x[..., 32, 100] = 1
    wide, tall = (shifted("motion-blur", v, 1.0)[0, 0] for v in (x, x.transpose(2, 3)))
    spread = [int((v > 1e-6).sum()) for v in (wide, tall)]
    (radius, _) = MOTION.at(1.0, 64)
    assert all(n <= 2 * radius + 1 for n in spread), "the shorter side decides, not the longer"


def test_the_law_of_growth_sees_levels_in_the_wrong_order():
    def mutant(batch, severity, dice=None):
        swapped = {0.6: 0.8, 0.8: 0.6}.get(round(severity, 3), severity)
        return find("shift:contrast").thing(batch, swapped, dice)

    with pytest.raises(LawBroken, match="does not grow"):
        law_change_grows_with_severity(mutant)


def test_gaussian_moments():
    x = torch.full((8, 1, 64, 64), 0.5)
    change = shifted("gaussian-noise", x, 0.4) - x
    assert change.mean().abs() < 0.002
    assert change.std() == pytest.approx(0.08, rel=0.02)


def test_shot_noise_has_the_mean_and_variance_of_counted_light():
    for level in (0.1, 0.5):
        x = torch.full((4, 1, 224, 224), level)
        out = shifted("shot-noise", x, 0.2)
        (inverse,) = SHOT.at(0.2, 224)
        assert out.mean() == pytest.approx(level, rel=0.005)
        assert out.var() == pytest.approx(level * inverse, rel=0.02)


@pytest.mark.parametrize("mean", [0.0, 0.3, 2.0, 11.9, 12.1, 60.0])
def test_poisson_against_scipy(mean):
    u = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    got = poisson(torch.full_like(u, mean), u)
    counts = torch.arange(200, dtype=torch.float64)
    share = (got <= counts[:, None]).double().mean(1)
    off = (share - torch.tensor(stats.poisson.cdf(counts.numpy(), mean))).abs().max()
    assert off < (1.1 / 20000 if mean < 12 else 1e-3)


@pytest.mark.parametrize("full", [3.0, 12.0, 60.0, 500.0])
def test_counts_from_tables_against_scipy(full):
    """Levels of eight bits are inverted exactly at any brightness, values between by `poisson`."""
    u = torch.rand(256, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u[:, 0], u[:, 1], u[:, 2] = 0.0, 1 - 2.0**-53, 0.5
    x = (torch.arange(256) / 255)[:, None].expand(256, 200)
    got = photographed(x, 1 / full, u) * full
    want = stats.poisson.ppf(u.numpy(), x.double().numpy() * full).clip(0)
    off = (got.double().numpy() - want)[:, np.arange(200) != 1]
    assert (abs(off) > 1e-3).mean() < 1e-4
    assert np.isfinite(got.numpy()).all() and got[:, 1].max() < full + 12 * full**0.5 + 8
    between = photographed((x + 0.002).clamp(max=1), 1 / full, u)[:, 2:] - got[:, 2:] / full
    assert float(between.mean()) == pytest.approx(0.002 * 255 / 256, rel=0.1)


def test_impulse_share_and_colours():
    x = torch.full((4, 3, 224, 224), 0.5)
    out = shifted("impulse-noise", x, 0.6)
    assert (out != 0.5).float().mean() == pytest.approx(0.09, rel=0.02)
    assert (out == 1).sum() / (out != 0.5).sum() == pytest.approx(0.5, abs=0.01)


def test_smear_is_a_naive_walk_along_the_line():
    x = torch.rand(2, 1, 9, 11, dtype=torch.float64)
    angle = torch.tensor([0.4, -0.7], dtype=torch.float64)
    got = smear(x, angle, 1.5, 6)
    k = [math.exp(-(i**2) / (2 * 1.5**2)) for i in range(6)]
    for b in range(2):
        for i in range(9):
            for j in range(11):
                total = 0.0
                for t in range(6):
                    dx = math.ceil(t * math.cos(angle[b]) - 0.5)
                    dy = math.ceil(t * math.sin(angle[b]) - 0.5)
                    row, col = min(max(i + dy, 0), 8), min(max(j + dx, 0), 10)
                    total += k[t] * float(x[b, 0, row, col])
                assert float(got[b, 0, i, j]) == pytest.approx(total / sum(k))


def plasma(draws, side, decay):
    """A naive twin of midpoint displacement, cell by cell."""
    sky, step, amplitude = np.zeros((side, side)), side, 1.0
    draws = iter(2 * draws - 1)
    while step >= 2:
        h, n = step // 2, side // step
        noise = np.array([next(draws) for _ in range(3 * n * n)]).reshape(3, n, n)
        for i in range(0, side, step):
            for j in range(0, side, step):
                four = [sky[(i + a) % side, (j + b) % side] for a in (0, step) for b in (0, step)]
                sky[i + h, j + h] = sum(four) / 4 + amplitude * noise[0, i // step, j // step]
        for i in range(0, side, step):
            for j in range(0, side, step):
                up, down = sky[(i - h) % side, j + h], sky[i + h, j + h]
                sides = sky[i, j] + sky[i, (j + step) % side]
                sky[i, j + h] = (up + down + sides) / 4 + amplitude * noise[1, i // step, j // step]
        for i in range(0, side, step):
            for j in range(0, side, step):
                left, right = sky[i + h, (j - h) % side], sky[i + h, j + h]
                ends = sky[i, j] + sky[(i + step) % side, j]
                sky[i + h, j] = (left + right + ends) / 4 + (
                    amplitude * noise[2, i // step, j // step]
                )
        step, amplitude = h, amplitude / decay**2
    return (sky - sky.min()) / (sky.max() - sky.min())


def test_clouds_are_midpoint_displacement():
    """Cell by cell as its naive twin; it closes on itself and spans [0, 1]."""
    for side in (2, 4, 16):
        draws = torch.rand(3, *cloud_draws(side, side - 1), dtype=torch.float64)
        got = clouds(draws, 1.7, side, side)
        for row, sky in zip(draws, got, strict=True):
            assert np.allclose(sky.numpy(), plasma(row.numpy(), side, 1.7))
    sky = clouds(torch.rand(2, *cloud_draws(64, 64), dtype=torch.float64), 2.0, 64, 64)
    assert sky.amin() == 0
    assert sky.amax() == 1
    inside = (sky[:, 1:] - sky[:, :-1]).abs().mean()
    seam = (sky[:, 0] - sky[:, -1]).abs().mean()
    assert seam < 4 * inside
    rough = clouds(torch.rand(2, *cloud_draws(64, 64), dtype=torch.float64), 1.1, 64, 64)
    assert (rough[:, 1:] - rough[:, :-1]).abs().mean() > 1.5 * inside


def test_contrast_closed_form():
    x = pictures(3, 3, 32).double()
    mean = x.mean((2, 3), keepdim=True)
    assert torch.allclose(shifted("contrast", x, 1.0), (x - mean) * 0.15 + mean)


def test_brightness_is_value_in_hsv():
    import colorsys

    x = pictures(1, 3, 8).double()
    got = shifted("brightness", x, 1.0)
    for i in range(8):
        for j in range(8):
            h, s, v = colorsys.rgb_to_hsv(*x[0, :, i, j].tolist())
            want = colorsys.hsv_to_rgb(h, s, min(v + 0.3, 1.0))
            assert got[0, :, i, j].tolist() == pytest.approx(list(want), abs=1e-9)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.65, 0.9])
def test_pixelate_is_pillow_box(share):
    x = pictures(2, 1, 50)
    small = int(50 * share)
    got = (coarse(x, share) * 255).round()
    for row, out in zip(x, got, strict=True):
        image = Image.fromarray((row[0] * 255).round().byte().numpy())
        box = image.resize((small, small), Image.Resampling.BOX)
        want = np.asarray(box.resize((50, 50), Image.Resampling.BOX)).astype(float)
        assert np.abs(out[0].numpy() - want).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [7, 25, 50, 80])
def test_jpeg_is_pillow_jpeg(channels, quality):
    x = pictures(3, channels, 50)
    got = jpeg(x, quality)
    for row, out in zip(x, got, strict=True):
        pixels = (row.permute(1, 2, 0) * 255).round().byte().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(
            file, "JPEG", quality=quality
        )
        want = torch.tensor(np.asarray(Image.open(file)).astype(np.float32) / 255)
        want = want.reshape(50, 50, channels).permute(2, 0, 1)
        moved = (row - want).abs().mean()
        assert (out - want).abs().mean() < max(2 / 255, 0.1 * float(moved))


@pytest.mark.parametrize("side", [1, 8, 31, 64])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("severity", [0.1, 0.4, 1.0])
def test_the_jpeg_shift_on_the_host_is_pillow_exactly(channels, side, severity):
    """Whole qualities and step sizes between them; two channels are two grey images."""
    x = pictures(2, channels, side)
    quality = QUALITY.at(severity, side)[0]
    tables = [table.flatten().int().tolist() for table in steps(quality)]
    planes = x if channels == 3 else x.reshape(-1, 1, side, side)
    got = shifted("jpeg", x, severity).reshape(planes.shape)
    for row, out in zip(planes, got, strict=True):
        pixels = (row.permute(1, 2, 0) * 255).round().byte().numpy()
        file = io.BytesIO()
        image = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        image.save(file, "JPEG", qtables=tables if channels == 3 else tables[:1])
        want = torch.tensor(np.asarray(Image.open(file))).reshape(side, side, -1).permute(2, 0, 1)
        assert torch.equal(out, want.to(out) / 255)


def test_step_sizes_are_those_of_the_codec():
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
        found = Image.open(file).quantization
        for number, table in enumerate(steps(quality)):
            assert table.flatten().tolist() == list(found[number]), quality


def test_what_is_no_image_is_refused():
    for x in (
        torch.rand(3, 5),
        torch.zeros(3, 1, 4, 4, dtype=torch.uint8),
        {"ids": torch.zeros(3)},
    ):
        with pytest.raises(Unsupported):
            find("shift:fog").thing(batch_of(torch.zeros(3, 1, 4, 4))._replace(x=x), 0.5, None)


def test_wrong_dice_and_severity():
    batch = batch_of(torch.zeros(3, 1, 4, 4))
    with pytest.raises(ShapeError):
        find("shift:fog").thing(batch, 0.5, Dice.of(2))
    with pytest.raises(ConfigError):
        find("shift:fog").thing(batch, 1.5, Dice.of(3))


def test_without_dice_rows_are_keyed_by_their_position():
    x = pictures(4, 1, 16)
    batch = batch_of(x)
    whole = find("shift:gaussian-noise").thing(batch, 0.5, None).x
    part = find("shift:gaussian-noise").thing(batch.take(slice(2, 4)), 0.5, None).x
    assert torch.equal(whole[2:], part)
