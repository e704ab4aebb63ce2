"""Edits against Pillow and SciPy; chains and mixtures against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops import photometric as ops
from holdfast.shifts.edits import EDITS, MENUS, edited
from holdfast.shifts.randaugment import augmix, randaugment, trivialaugment

G = torch.Generator().manual_seed(0)
LEVELS = torch.randint(30, 220, (2, 3, 40, 37), generator=G)
X = LEVELS.double() / 255


def pil(change, rows=LEVELS):
    """What Pillow makes of each image, back as values in [0, 1]."""
    made = []
    for picture in rows:
        image = Image.fromarray(picture.permute(1, 2, 0).byte().numpy())
        made.append(torch.from_numpy(np.array(change(image))).permute(2, 0, 1))
    return torch.stack(made).double() / 255


def near(a, b, levels=1.01):
    return float((a.clamp(0, 1) - b).abs().max()) <= levels / 255


def amounts(a, b):
    return torch.tensor([a, b], dtype=torch.float64)


def test_tones_are_those_of_pillow():
    assert near(ops.autocontrast(X), pil(ImageOps.autocontrast))
    assert near(ops.posterized(X, amounts(4, 4)), pil(lambda i: ImageOps.posterize(i, 4)), 0.01)
    for bits, row in ((3, 0), (7, 1)):
        own = ops.posterized(X, amounts(3, 7))[row]
        assert near(own, pil(lambda i, b=bits: ImageOps.posterize(i, b))[row], 0.01)
    inverted = pil(lambda i: ImageOps.solarize(i, 128))
    assert near(ops.solarized(X, amounts(128 / 255, 128 / 255)), inverted, 0.01)


@pytest.mark.parametrize("factor", [0.1, 0.7, 1.0, 1.9])
@pytest.mark.parametrize("name", ["colour", "contrast", "brightness", "sharpness"])
def test_factors_are_those_of_pillow(name, factor):
    enhance = getattr(ImageEnhance, {"colour": "Color"}.get(name, name.title()))
    found = getattr(ops, name)(X, amounts(factor, factor))
    assert near(found, pil(lambda i: enhance(i).enhance(factor)), 3)  # Pillow rounds in between


def test_equal_tones_against_the_naive_rule_and_pillow():
    naive = torch.empty_like(X)
    for i, picture in enumerate(LEVELS):
        for c, plane in enumerate(picture):
            highest = (plane < plane.max()).sum()
            for level in plane.unique():
                naive[i, c][plane == level] = (plane < level).sum().double() / highest
    assert torch.allclose(ops.equalized(X), naive)
    big = torch.randint(0, 200, (1, 3, 255, 200), generator=G)
    assert near(ops.equalized(big.double() / 255), pil(ImageOps.equalize, big), 3)
    flat = torch.full((1, 1, 4, 4), 0.3)
    assert torch.equal(ops.equalized(flat), flat) and torch.equal(ops.autocontrast(flat), flat)


def test_geometry_is_that_of_scipy():
    angle, (height, width) = amounts(0.4, -0.2), X.shape[2:]
    shift = torch.tensor([[2.3, -1.0], [0.0, 4.0]], dtype=torch.float64)
    turn = ops.rotation(angle)
    found = ops.moved(X, turn, shift)
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    for i in range(2):
        back = turn[i].flip(0, 1).numpy()  # scipy counts rows first
        offset = middle + shift[i].flip(0).numpy() - back @ middle
        for c in range(3):
            naive = ndimage.affine_transform(
                X[i, c].numpy(), back, offset, order=1, mode="grid-constant"
            )
            assert np.allclose(found[i, c].numpy(), naive, atol=1e-9)
    slanted = ops.shear(amounts(0.3, 0.0), amounts(0.0, 0.2))
    assert torch.allclose(slanted[0], torch.tensor([[1, 0.3], [0, 1]]).double())


def test_magnitude_zero_is_the_image_where_an_edit_has_one():
    none, sign = torch.zeros(2).double(), torch.ones(2).double()
    for name in EDITS:
        if name not in ("autocontrast", "equalize", "posterize"):
            assert torch.allclose(EDITS[name](X, none, sign), X, atol=1e-12), name
    assert near(EDITS["posterize"](X, none, sign), X, 0.01)


def batch_of(x):
    return Batch(x, torch.arange(len(x)), torch.arange(len(x)))


def test_every_edit_is_drawn_and_rows_draw_their_own():
    x = X[:1].expand(300, -1, -1, -1)
    out = edited(x, torch.full((300,), 0.7).double(), MENUS["all"], Dice.of(300))
    kinds = out.flatten(1).unique(dim=0)
    assert 14 <= len(kinds) <= 2 * 14
    same = (out == x).flatten(1).all(1).double().mean()
    assert float(same) == pytest.approx(1 / 14, abs=0.05)


def test_no_edits_and_single_edits():
    batch = batch_of(X)
    assert torch.equal(randaugment(batch, 0.5, count=0).x, X)
    weak, strong = trivialaugment(batch, 0.01).x, trivialaugment(batch, 1.0).x
    assert float((strong - X).abs().mean()) >= float((weak - X).abs().mean())


def test_mixtures_stay_among_the_image_and_its_chains():
    x = X[:1].expand(64, -1, -1, -1)
    near_one = augmix(batch_of(x), 0.3, width=1, depth=1, alpha=1e4)
    # With shares of one half each, the chain can be solved for; it must be a single edit.
    chain = (2 * near_one.x - x).clamp(0, 1)
    assert float((near_one.x - (x + chain) / 2).abs().max()) < 0.02
    out = augmix(batch_of(x), 1.0, menu="geometric").x
    assert float(out.max()) <= float(x.max()) + 1e-9 and not torch.equal(out, x)
    assert len(out.flatten(1).unique(dim=0)) == 64
