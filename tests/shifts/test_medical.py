"""Corruptions of medical pictures against closed forms, Pillow and naive twins."""

import colorsys
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.ops.text_marks import letters, written
from holdfast.shifts.medical import black_corner, bubble, characters, gamma, stain_deposit
from holdfast.shifts.medmnist import Targeted, medmnist_c
from holdfast.shifts.medmnist_kinds import KINDS, blurred, brightened, contrasted, stronger
from holdfast.shifts.medmnist_levels import ALEXNET_CLEAN, DATASETS, LEVELS

NO_DICE = Dice.of(2)


def pictures(rows=4, side=28, channels=3):
    g = torch.Generator().manual_seed(0)
    small = torch.rand(rows, channels, 6, 6, generator=g)
    x = torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)
    return (x * 255).round() / 255


def batch_of(x):
    return Batch(x, torch.zeros(len(x), dtype=torch.long), torch.arange(len(x)))


def test_twelve_sets_with_five_levels_of_known_kinds():
    assert len(DATASETS) == 12 == len(ALEXNET_CLEAN)
    assert set(DATASETS) == set(ALEXNET_CLEAN)
    assert [len(DATASETS[d]) for d in ("path", "blood", "derma", "retina", "oct")] == [
        11,
        11,
        15,
        8,
        6,
    ]
    for (_, kind), rows in LEVELS.items():
        assert len(rows) == 5
        assert {len(r) for r in rows} == {len(KINDS[kind].none)}
    assert LEVELS["derma", "shot-noise"][4] == (1 / 5,)
    assert LEVELS["tissue", "gaussian-blur"][0] == (6.0,)  # 13 taps
    with pytest.raises(ConfigError):
        medmnist_c("cifar")


@pytest.mark.parametrize("dataset", ["path", "derma", "chest", "tissue"])
def test_change_grows_with_the_level(dataset):
    x = pictures()
    for name, shift in medmnist_c(dataset).items():
        moved = [float((shift(batch_of(x), s, Dice.of(4)).x - x).square().mean())
                 for s in (0.0, 0.2, 0.6, 1.0)]  # fmt: skip
        assert moved[0] == 0
        assert moved[1] <= moved[2] * 1.001, name
        assert moved[1] < moved[3], name
    if dataset == "derma":  # its last two levels are exchanged, as published
        corner = [float((medmnist_c("derma")["black-corner"](batch_of(pictures(1, 224)), s).x
                         == 0).float().mean()) for s in (0.8, 1.0)]  # fmt: skip
        assert corner[0] > corner[1]


def test_parameters_that_change_nothing():
    x = pictures(2)
    for operation, row in ((brightened, (1.0,)), (contrasted, (1.0,)), (blurred, (0.0,))):
        assert torch.allclose(operation(x, row, NO_DICE), x, atol=1e-6)
    assert torch.allclose(stronger(x, (0.0,), NO_DICE), x, atol=1e-6)


def test_the_circle_keeps_pi_quarters_and_the_corners_go_first():
    x = torch.ones(1, 3, 224, 224)
    kept = float(black_corner(batch_of(x), 0.6).x.mean())
    assert kept == pytest.approx(math.pi / 4, rel=0.01)
    mild = black_corner(batch_of(x), 0.2).x[0, 0]
    assert mild[0, 0] == 0
    assert mild[0, 112] == 1


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.3, 1.6])
def test_brightness_and_contrast_are_pillows(factor):
    x = pictures(2)
    for operation, enhancer in (
        (brightened, ImageEnhance.Brightness), (contrasted, ImageEnhance.Contrast),
    ):  # fmt: skip
        got = operation(x, (factor,), NO_DICE).clamp(0, 1) * 255
        for row, out in zip(x, got, strict=True):
            image = Image.fromarray((row * 255).round().byte().permute(1, 2, 0).numpy())
            want = np.asarray(enhancer(image).enhance(factor)).astype(float)
            assert np.abs(out.permute(1, 2, 0).numpy() - want).max() <= 1.6


def test_saturation_is_that_of_colorsys_and_greys_turn_red():
    x = pictures(1, 6).double()
    x[0, :, 0, 0] = 0.4
    got = stronger(x, (0.2,), NO_DICE)
    for i in range(6):
        for j in range(6):
            h, s, v = colorsys.rgb_to_hsv(*x[0, :, i, j].tolist())
            want = colorsys.hsv_to_rgb(h, min(s + 0.2, 1), v)
            assert got[0, :, i, j].tolist() == pytest.approx(list(want), abs=1e-6)
    assert got[0, :, 0, 0].tolist() == pytest.approx([0.4, 0.32, 0.32])
    with pytest.raises(Unsupported):
        stronger(x[:, :1], (0.2,), NO_DICE)


def test_blur_is_that_of_a_kernel_of_so_many_taps():
    x = pictures(1, 9, 1).double()
    got = blurred(x, (2.0,), NO_DICE)[0, 0]
    sigma = 0.3 * ((5 - 1) / 2 - 1) + 0.8
    taps = np.exp(-(np.arange(-2, 3) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    big = np.pad(x[0, 0].numpy(), 2, mode="reflect")
    want = [[float(taps @ big[i : i + 5, j : j + 5] @ taps) for j in range(9)] for i in range(9)]
    assert np.allclose(got.numpy(), want)


def test_gamma_closed_form():
    x = pictures(2).double()
    assert torch.allclose(gamma(batch_of(x), 1.0).x, x**1.6)


def test_bubbles_and_stains_are_where_and_as_they_should_be():
    x = torch.zeros(8, 3, 224, 224)
    out = bubble(batch_of(x), 0.2, Dice.of(8)).x
    assert set(out.unique().tolist()) == {
        0.0,
        float(torch.tensor(100 / 255)),
        float(torch.tensor(130 / 255)),
    }
    covered = (out[:, 0] > 0).float().sum((1, 2))
    assert (covered > 7 * math.pi * 3**2 * 0.3).all()
    assert (covered < 15 * math.pi * 7.5**2).all()
    white = torch.ones(8, 3, 224, 224)
    marked = stain_deposit(batch_of(white), 1.0, Dice.of(8)).x
    assert (marked.amin((1, 2, 3)) < 0.5).all()
    assert ((marked < 0.9).float().mean((1, 2, 3)) < 0.1).all()


def test_letters_are_written_dot_by_dot():
    assert letters()[11, :, 2].tolist() == [True] * 7  # the stem of l
    kinds = torch.tensor([[11, 0, 24], [8, 8, 8]])
    place, length = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([2.0, 1.0])
    ink = written(kinds, length, place, 2.0, (30, 40))
    word = torch.cat([letters()[11], letters()[0]], 1)
    want = word.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(ink[0, 0, :14, :24], want)
    assert ink[0].sum() == want.sum()
    assert torch.equal(
        ink[1, 0, 16:, 28:], letters()[8].repeat_interleave(2, 0).repeat_interleave(2, 1)
    )
    x = torch.full((4, 3, 224, 224), 0.5)
    few, many = (
        (characters(batch_of(x), s, Dice.of(4)).x != 0.5).any(1).sum((1, 2)) for s in (0.2, 1.0)
    )
    assert (few > 0).all()
    assert many.sum() > few.sum()


def test_augmentation_changes_each_image_in_its_own_way():
    x = pictures(60, 28)
    out = Targeted("path")(batch_of(x), Dice.of(60))
    moved = (out.x != x).flatten(1).any(1)
    assert 0.75 < float(moved.float().mean()) < 1  # one of twelve stays
    assert torch.equal(Targeted("path")(batch_of(x), Dice.of(60)).x, out.x)
    part = torch.tensor([40, 3])
    again = Targeted("path")(batch_of(x).take(part), Dice.of(60).part(part)).x
    assert torch.allclose(again, out.x[part], atol=1e-6)
