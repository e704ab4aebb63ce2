"""All corruptions of ImageNet-C against naive twins that get the same draws."""

import numpy as np
import pytest
import torch
from tests.shifts import twins

from holdfast.core.catalog import find
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.ops.edges import canny, distance, equalized
from holdfast.ops.filters import disk
from holdfast.shifts.augment import augmenting
from holdfast.shifts.blur import DEFOCUS, GAUSSIAN, GLASS, ZOOM
from holdfast.shifts.digital import SATURATION
from holdfast.shifts.elastic import ELASTIC
from holdfast.shifts.noise import SPECKLE
from holdfast.shifts.published import IMAGENET_C, IMAGENET_C_EXTRA
from holdfast.shifts.spatter import MUD, SPATTER, WATER
from holdfast.shifts.winter import FROST, SNOW

TABLES = {
    "speckle-noise": SPECKLE, "gaussian-blur": GAUSSIAN, "defocus-blur": DEFOCUS,
    "glass-blur": GLASS, "saturate": SATURATION, "frost": FROST, "snow": SNOW,
    "elastic-transform": ELASTIC, "spatter": SPATTER,
}  # fmt: skip


def pictures(rows, side, width=0, seed=0):
    g = torch.Generator().manual_seed(seed)
    small = torch.rand(rows, 3, 6, 6, generator=g, dtype=torch.float64)
    shape = (side, width or side)
    x = torch.nn.functional.interpolate(small, shape, mode="bicubic", align_corners=False)
    x = (x + 0.05 * torch.randn(x.shape, generator=g, dtype=torch.float64)).clamp(0, 1)
    return (x * 255).round() / 255


def shifted(name, x, severity, seed=0):
    batch = Batch(x, torch.zeros(len(x)).long(), torch.arange(len(x)))
    return find(f"shift:{name}").thing(batch, severity, Dice.of(len(x), seed)).x


def close(name, x, level, twin, atol=1e-9):
    """Our images and the twin's of each one, at a level from 1."""
    got = shifted(name, x, level / 5).permute(0, 2, 3, 1).numpy()
    for number, (image, out) in enumerate(zip(x.permute(0, 2, 3, 1).numpy(), got, strict=True)):
        want = np.clip(twin(number, image.copy()), 0, 1)
        assert np.abs(out - want).max() < atol, (name, level, number)


def dice(name, rows):
    return Dice.of(rows, 0).spawn(name)


def test_fifteen_and_four():
    assert len(set(IMAGENET_C)) == 15 and len(set(IMAGENET_C_EXTRA)) == 4
    for name in IMAGENET_C + IMAGENET_C_EXTRA:
        assert "imagenet-c" in find(f"shift:{name}").cites


@pytest.mark.parametrize("name", TABLES)
def test_published_levels(name):
    for size, levels in twins.ROWS[name].items():
        for level, row in enumerate(levels, 1):
            assert TABLES[name].at(level / 5, size) == pytest.approx(row)


def test_whole_levels_are_taken_as_they_are():
    for severity, size, level in ((0.01, 32, 1), (0.2, 30, 1), (0.21, 64, 2), (0.97, 300, 5)):
        near = min((32, 64, 224), key=lambda s: abs(np.log(size / s)))
        assert SATURATION.at(severity, size) == twins.ROWS["saturate"][near][level - 1]
    for size, counts in twins.COUNTS.items():
        for level, count in enumerate(counts, 1):
            n, step = ZOOM.at(level / 5, size)
            assert n == count and len(twins.ZOOMS[size][level - 1]) == count
            assert 1 + step * np.arange(n) == pytest.approx(twins.ZOOMS[size][level - 1])


@pytest.mark.parametrize("level", [1, 3, 4, 5])
def test_blurs(level):
    x = pictures(2, 64, 70)
    close(
        "gaussian-blur",
        x,
        level,
        lambda _, v: twins.gaussian_blur(v, *twins.ROWS["gaussian-blur"][64][level - 1]),
    )
    close(
        "defocus-blur",
        x,
        level,
        lambda _, v: twins.defocus(v, *twins.ROWS["defocus-blur"][64][level - 1]),
    )
    factors = twins.ZOOMS[64][level - 1]
    close("zoom-blur", x, level, lambda _, v: twins.zoom_blur(v, factors))  # fmt: skip


@pytest.mark.parametrize("radius", [3, 8, 10])
def test_large_disks(radius):
    dot = np.zeros((31, 31, 1))
    dot[15, 15] = 1
    kernel = disk(radius, 0.5).numpy()
    want = twins.defocus(dot, radius, 0.5)[..., 0]
    half = len(kernel) // 2
    assert np.allclose(want[15 - half : 16 + half, 15 - half : 16 + half], kernel)


@pytest.mark.parametrize(("level", "channels"), [(2, 3), (4, 3), (5, 1)])
def test_glass(level, channels):
    x = pictures(2, 64)[:, :channels, :20, :24]
    x = torch.nn.functional.interpolate(x, (64, 64)) if level == 5 else x
    size = min(x.shape[2:])
    sigma, reach, rounds = GLASS.at(level / 5, size)
    reach = max(1, round(reach))
    own, steps = dice("glass-blur", 2), []
    inner = [n - 2 * reach for n in x.shape[2:]]
    for _ in range(round(rounds)):
        steps.append(own.integers(2 * reach, (2, *inner)) - reach)
        own.uniform(tuple(inner))
    close("glass-blur", x, level, lambda i, v: twins.glass(
        v, sigma, reach, [s[i].numpy() for s in steps], swap=channels == 1))  # fmt: skip


@pytest.mark.parametrize("level", [2, 3, 5])
def test_snow(level):
    x = pictures(2, 64)
    own = dice("snow", 2)
    angle = -(own.uniform(dtype=torch.float64) + 0.5) * np.pi / 2
    noise = own.normal((1, 64, 64), dtype=torch.float64)
    row = twins.ROWS["snow"][64][level - 1]
    close("snow", x, level, lambda i, v: twins.snow(v, row, noise[i, 0].numpy(), float(angle[i])),
          atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("level", [1, 2, 5])
def test_elastic(level):
    x = pictures(2, 64, 60)
    own = dice("elastic-transform", 2)
    jitter = own.uniform((3, 2), dtype=torch.float64).numpy()
    noise = own.uniform((2, 64, 60), dtype=torch.float64).numpy()
    row = tuple(60 / 64 * v for v in twins.ROWS["elastic-transform"][64][level - 1])
    close("elastic-transform", x, level,
          lambda i, v: twins.elastic(v, row, jitter[i], noise[i]), atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("level", [1, 3, 4, 5])
def test_spatter(level):
    x = pictures(2, 64)
    noise = dice("spatter", 2).normal((1, 64, 64), dtype=torch.float64).numpy()
    row = twins.ROWS["spatter"][64][level - 1]

    def twin(i, v):
        if row[5]:
            cover = twins.mud(noise[i, 0], row)[..., None]
            return v * (1 - cover) + cover * np.array(MUD)
        return v + twins.water(noise[i, 0], row)[..., None] * np.array(WATER)

    close("spatter", x, level, twin, atol=1e-6)


@pytest.mark.parametrize("level", [1, 2, 3, 5])
def test_saturate(level):
    x = pictures(1, 12)
    x[0, :, 0, :4] = torch.tensor([0.0, 0.3, 0.7, 1.0])  # greys turn red where b > 0
    row = twins.ROWS["saturate"][32][level - 1]
    close("saturate", x, level, lambda _, v: twins.saturate(v, *row))


def test_saturate_refuses_grey():
    with pytest.raises(Unsupported, match="colours"):
        shifted("saturate", torch.rand(2, 1, 8, 8), 0.4)


def test_speckle_grows_with_the_value():
    x = torch.full((4, 1, 64, 64), 0.5)
    out = shifted("speckle-noise", x, 0.2)
    assert (out - x).std() == pytest.approx(0.5 * 0.15, rel=0.03)
    assert torch.equal(shifted("speckle-noise", 0 * x, 1.0), 0 * x)


def test_frost_is_a_blend_with_one_texture():
    x = pictures(3, 40)
    ice = shifted("frost", 0 * x, 0.6)
    a, b = FROST.at(0.6, 40)
    assert torch.allclose(shifted("frost", x, 0.6), (a * x + ice).clamp(0, 1))
    assert 0.1 < float(ice.mean() / b) < 0.6 and float(ice.std() / b) > 0.1
    assert (ice[:, 2] >= ice[:, 0]).all(), "ice is blue"


def test_frost_from_photographs(tmp_path):
    from PIL import Image

    with pytest.raises(ConfigError, match="pictures"):
        find("shift:frost").thing(
            Batch(torch.zeros(1, 3, 8, 8), torch.zeros(1).long(), torch.arange(1)), 1.0,
            None, photos=str(tmp_path))  # fmt: skip
    Image.fromarray(np.full((20, 30, 3), 51, np.uint8)).save(tmp_path / "ice.png")
    batch = Batch(torch.zeros(2, 3, 8, 8), torch.zeros(2).long(), torch.arange(2))
    out = find("shift:frost").thing(batch, 1.0, None, photos=str(tmp_path)).x
    assert torch.allclose(out, torch.full_like(out, 0.45 * 0.2))


def test_edges_are_those_of_the_naive_twin():
    x = pictures(3, 40)[:, :1]
    for sigma, low, high in ((1.0, 0.1, 0.2), (0.0, 0.6, 1.2), (2.0, 0.05, 0.3)):
        got = canny(x, sigma, low, high)
        for image, edges in zip(x, got, strict=True):
            assert np.array_equal(edges[0].numpy(), twins.canny(image[0].numpy(), sigma, low, high))
        assert 0.01 < got.double().mean() < 0.6


def test_distance_and_equal_counts():
    from scipy import ndimage

    edges = pictures(2, 50)[:, :1] > 0.93
    for row, out in zip(edges, distance(edges, 9), strict=True):
        assert np.allclose(out[0], np.minimum(ndimage.distance_transform_edt(~row[0].numpy()), 9))
    levels = torch.tensor([[[[3.0, 3, 7], [9, 9, 9]]], [[[5.0, 5, 5], [5, 5, 5]]]])
    want = torch.tensor([[[[0.0, 0, 64], [255, 255, 255]]], [[[5.0, 5, 5], [5, 5, 5]]]])
    assert torch.equal(equalized(levels), want)


def test_values_outside_are_refused():
    for value in (-0.1, 1.2, float("nan")):
        with pytest.raises(Unsupported, match=r"\[0, 1\]"):
            shifted("contrast", torch.full((1, 3, 8, 8), value), 0.5)


def test_augmenting_changes_each_row_on_its_own():
    x = pictures(40, 16).float()
    data = Batches(x=x, y=torch.arange(40), size=10,
                   augment=augmenting(["shift:fog", "shift:contrast"], clean=0.25))  # fmt: skip
    seen = torch.cat([b.x[b.y.argsort()] for b in data.draw(Dice.of(0, 3))])
    assert seen.shape == x.shape
    augment = augmenting(["shift:fog", "shift:snow"], levels=3, clean=0.25)
    whole = augment(data.whole, Dice(1, data.index)).x
    same = (whole == x).flatten(1).all(1)
    assert 2 <= int(same.sum()) <= 20
    part = augment(data.whole.take(slice(7, 19)), Dice(1, data.index[7:19])).x
    assert torch.allclose(whole[7:19], part, atol=1e-6), "a row depends on its batch"
    with pytest.raises(ConfigError):
        augmenting([])
