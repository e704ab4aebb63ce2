"""Edits of objects against closed forms and naive loops."""

import math

import numpy as np
import pytest
import torch

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.ops.compose import (
    boxes,
    edited,
    entropy_of_textures,
    filled,
    free_move,
    object_mask,
    placed,
    shrunk,
)
from holdfast.shifts.attributes import (
    object_direction,
    object_position,
    object_size,
    plain_background,
    textured_background,
)

SIDE = 48


def scene(rows=3):
    g = torch.Generator().manual_seed(0)
    x = torch.full((rows, 3, SIDE, SIDE), 0.2) + 0.02 * torch.rand(rows, 3, SIDE, SIDE, generator=g)
    mask = torch.zeros(rows, 1, SIDE, SIDE)
    mask[:, :, 14:34, 10:36] = 1
    return torch.where(mask > 0, 0.9, x), mask


def batch_of(x, mask):
    n = len(x)
    return Batch(x, torch.zeros(n, dtype=torch.long), torch.arange(n), None, {"mask": mask})


def test_the_object_is_found_on_a_quiet_ground():
    x, mask = scene()
    assert torch.equal(object_mask(x), mask)
    assert object_mask(torch.full((2, 3, 9, 9), 0.3)).sum() == 0  # one colour: no object


def test_boxes_are_those_of_a_loop():
    mask = (torch.rand(4, 1, 9, 13, generator=torch.Generator().manual_seed(1)) < 0.05).float()
    mask[3] = 0
    for row, box in zip(mask, boxes(mask), strict=True):
        i, j = np.nonzero(row[0].numpy())
        if not len(i):
            i, j = np.array([0, 8]), np.array([0, 12])
        want = [(i.min() + i.max() + 1) / 2, (j.min() + j.max() + 1) / 2]
        assert box.tolist() == [*want, np.ptp(i) + 1, np.ptp(j) + 1]


def test_filling_keeps_what_is_known_and_finds_a_flat_ground():
    x, mask = scene()
    flat = torch.where(mask > 0, x, 0.25)
    out = filled(flat, mask)
    assert torch.allclose(out, torch.full_like(out, 0.25), atol=1e-6)
    assert torch.equal(filled(x, mask)[(mask == 0).expand_as(x)], x[(mask == 0).expand_as(x)])
    assert torch.isfinite(filled(x, torch.ones_like(mask))).all()


def naive(foreground, mask, background, scale, angle, at):
    """Each output pixel reads four neighbours of the place it comes from."""
    c, h, w = foreground.shape
    box = boxes(mask[None])[0].tolist()
    out = background.clone()
    both = torch.cat([foreground * mask, mask])
    for i in range(background.shape[1]):
        for j in range(background.shape[2]):
            down, across = (i + 0.5 - at[0]) / scale, (j + 0.5 - at[1]) / scale
            y = box[0] + math.cos(angle) * down + math.sin(angle) * across - 0.5
            x = box[1] - math.sin(angle) * down + math.cos(angle) * across - 0.5
            total = torch.zeros(c + 1, dtype=foreground.dtype)
            for a in (math.floor(y), math.floor(y) + 1):
                for b in (math.floor(x), math.floor(x) + 1):
                    if 0 <= a < h and 0 <= b < w:
                        total += (1 - abs(y - a)) * (1 - abs(x - b)) * both[:, a, b]
            out[:, i, j] = total[:c] + (1 - total[c]) * background[:, i, j]
    return out


def test_placing_is_a_naive_loop():
    g = torch.Generator().manual_seed(2)
    fore, ground = (torch.rand(2, 2, *s, generator=g).double() for s in ((9, 11), (12, 10)))
    mask = torch.zeros(2, 1, 9, 11).double()
    mask[0, :, 2:7, 3:9] = 1
    mask[1, :, 0:4, 5:11] = 0.7
    scale, angle = torch.tensor([0.6, 1.3]).double(), torch.tensor([0.7, -2.0]).double()
    at = torch.tensor([[5.0, 4.0], [9.5, 2.0]]).double()
    got, _ = placed(fore, mask, ground, scale, angle, at)
    for k in range(2):
        want = naive(fore[k], mask[k], ground[k], float(scale[k]), float(angle[k]), at[k].tolist())
        assert torch.allclose(got[k], want, atol=1e-6)


def test_an_object_that_stays_is_untouched_and_no_mask_gives_the_ground():
    x, mask = scene()
    ground = torch.rand_like(x)
    one, zero = torch.ones(3), torch.zeros(3)
    same = edited(x, mask, filled(x, mask), one, zero, torch.zeros(3, 2))
    assert torch.allclose(same, x, atol=1e-5)
    turned = edited(x, mask, ground, one, torch.full((3,), 2 * math.pi), torch.zeros(3, 2))
    assert torch.allclose(turned, torch.where(mask > 0, x, ground), atol=1e-4)
    gone, over = placed(x, 0 * mask, ground, one, zero, torch.zeros(3, 2))
    assert torch.equal(gone, ground)
    assert over.sum() == 0


@pytest.mark.parametrize("area", [0.15, 0.1, 0.05])
def test_the_object_gets_the_area_that_is_asked(area):
    x, mask = scene()
    out = object_size(batch_of(x, mask), 1.0, Dice.of(3), smallest=area).x
    covered = (out[:, 0] > 0.55).float().mean((1, 2))
    assert covered.tolist() == pytest.approx([area] * 3, rel=0.1)


def test_a_free_move_keeps_the_object_inside_and_its_size():
    x, mask = scene(20)
    side = shrunk(mask, 0.05)
    move = free_move(mask, side, Dice.of(20).uniform((2,)))
    out = edited(x, mask, filled(x, mask), side, torch.zeros(20), move)[:, :1]
    seen = (out > 0.55).float()
    assert seen.mean((1, 2, 3)).tolist() == pytest.approx([0.05] * 20, rel=0.15)
    places = boxes(seen)[:, :2]
    assert places.std(0).min() > 0.1 * SIDE  # everywhere
    size = boxes(seen)[:, 2:]
    assert (places - size / 2).min() >= 0
    assert (places + size / 2).max() <= SIDE


def test_position_moves_as_far_as_severity_says():
    x, mask = scene(40)
    start = boxes(mask)[:, :2]
    far = boxes(
        (object_position(batch_of(x, mask), 0.5, Dice.of(40), reach=0.5).x[:, :1] > 0.55).float()
    )
    move = (far[:, :2] - start).abs().amax(0) / SIDE
    assert (move <= 0.26).all()
    assert (move > 0.15).all()


def test_direction_turns_by_the_angle_that_is_asked():
    x, mask = scene(12)
    out = object_direction(batch_of(x, mask), 1.0, Dice.of(12), degrees=180.0).x[:, :1]
    seen = (out > 0.55).float()
    assert seen.mean((1, 2, 3)).tolist() == pytest.approx([20 * 26 / SIDE**2] * 12, rel=0.06)
    sides = boxes(seen)[:, 2:]
    assert sides.std(0).min() > 1


def test_backgrounds_change_and_the_object_stays():
    x, mask = scene()
    own = (mask == 1).expand_as(x)
    for shift in (plain_background, textured_background):
        out = shift(batch_of(x, mask), 1.0, Dice.of(3)).x
        assert torch.equal(out[own], x[own])
        assert not torch.equal(out, x)
    rich = textured_background(batch_of(x, mask), 1.0, Dice.of(3)).x
    plain = plain_background(batch_of(x, mask), 1.0, Dice.of(3)).x
    assert (entropy_of_textures(rich) > entropy_of_textures(x)).all()
    assert (plain - plain.mean((2, 3), keepdim=True)).square().mean() < (
        rich - rich.mean((2, 3), keepdim=True)
    ).square().mean()


def test_complexity_is_counted_pair_by_pair():
    x = torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(3))
    for row, got in zip(x, entropy_of_textures(x, 4), strict=True):
        grey = np.clip((row[0].numpy() * 4).astype(int), 0, 3)
        total = 0.0
        for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
            counts = np.zeros((4, 4))
            for i in range(5 - down):
                for j in range(6):
                    if 0 <= j + across < 6:
                        counts[grey[i, j], grey[i + down, j + across]] += 1
            p = counts[counts > 0] / counts.sum()
            total -= float((p * np.log(p)).sum())
        assert float(got) == pytest.approx(total / 4)


def test_a_mask_of_another_size_is_refused():
    x, mask = scene()
    with pytest.raises(ShapeError):
        object_size(batch_of(x, mask[:, :, 1:]), 1.0, Dice.of(3))
