"""Overlaps by hand; maps that keep what they promise; normalisation with a neutral map."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.dice import Dice
from holdfast.layers.spade import LabelToImage, SpatialNorm
from holdfast.measures.outputs.segmentation import (
    perturbed_maps,
    segmentation,
    without_ignored,
)
from holdfast.readers.synthetic.scenes import SIDE, painted, scenes


def one_hot(y, k=4):
    return F.one_hot(y, k).double()


def test_by_hand():
    y = torch.tensor([[[0, 0, 1], [1, 2, 255]]])
    said = torch.tensor([[[0, 1, 1], [1, 2, 0]]])
    miou, accuracy = segmentation(one_hot(said), without_ignored(y))
    assert miou.value == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert accuracy.value == pytest.approx(4 / 5) and miou.n == 5


def test_perfect_and_renamed():
    made = scenes(30, Dice.of(30))
    y = made.more["map"]
    assert segmentation(one_hot(y), y)[0].value == 1
    said, name = y.roll(2, 1), torch.tensor([2, 0, 3, 1])
    a, b = segmentation(one_hot(said), y)[0], segmentation(one_hot(name[said]), name[y])[0]
    assert a.value == pytest.approx(b.value) and a.value < 0.7


def test_scenes_agree_with_their_boxes():
    made = scenes(200, Dice.of(200))
    assert bool((made.truth.rule(made.x) == made.y).all())
    truth = made.truth.boxes()
    for k in range(0, len(truth), 17):
        image, box = int(truth.image[k]), truth.box[k].long()
        left, top, right, bottom = box.tolist()
        inside = made.more["map"][image, top:bottom, left:right]
        assert bool((inside.any(0)).all()) and bool(inside.any(1).all())
        assert set(inside.unique().tolist()) <= {0, int(truth.label[k]) + 1}
    outside = made.more["map"].clone()
    for k in range(len(truth)):
        left, top, right, bottom = truth.box[k].long().tolist()
        outside[truth.image[k], top:bottom, left:right] = 0
    assert int(outside.sum()) == 0
    assert painted(made.more["map"], Dice.of(200)).shape == (200, 1, SIDE, SIDE)


def test_new_maps():
    y = scenes(60, Dice.of(60)).more["map"]
    only_swapped = perturbed_maps(y, Dice.of(60), insert=False)
    assert torch.equal(only_swapped > 0, y > 0)
    share = (only_swapped != y).flatten(1).any(1).double().mean()
    assert 0.2 < float(share) < 0.7
    more = perturbed_maps(y, Dice.of(60), swap=False)
    assert bool(((more > 0) >= (y > 0)).all()) and float((more > 0).sum() / (y > 0).sum()) > 1.3
    assert torch.equal(perturbed_maps(y, Dice.of(60), insert=False, swap=False), y)


def test_a_map_that_says_nothing_leaves_the_plain_normalisation():
    torch.manual_seed(0)
    layer = SpatialNorm(5, 3)
    for conv in (layer.gamma, layer.beta):
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)
    h = torch.randn(2, 5, 8, 8)
    assert torch.allclose(layer(h, torch.rand(2, 3, 4, 4)), nn.InstanceNorm2d(5)(h))


def test_generated_images_depend_on_map_and_noise():
    torch.manual_seed(0)
    net = LabelToImage(4)
    y = scenes(3, Dice.of(3)).more["map"]
    a, b = net.drawn(y, Dice.of(3)), net.drawn(y, Dice.of(3, 1))
    assert a.shape == (3, 1, SIDE, SIDE) and torch.equal(a, net.drawn(y, Dice.of(3)))
    assert not torch.allclose(a, b) and not torch.allclose(a, net.drawn(y.flip(0), Dice.of(3)))
