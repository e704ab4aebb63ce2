"""Triggers against scipy's cosine transform, and poisoned data sets row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from holdfast.core.catalog import build
from holdfast.core.data import Batch, Batches
from holdfast.measures.outputs.backdoor import attack_success, entanglement
from holdfast.shifts.poison import poisoned
from holdfast.shifts.trigger import (
    YUV,
    cosines,
    frequency_trigger,
    kept_energy,
    patch_trigger,
    wave,
)


def middling(rows: int, *shape: int) -> Batch:
    """Images that a trigger does not push out of [0, 1]."""
    g = torch.Generator().manual_seed(0)
    x = 0.4 + 0.2 * torch.rand(rows, *shape, generator=g, dtype=torch.float64)
    return Batch(x, torch.arange(rows) % 3, torch.arange(rows))


@pytest.mark.parametrize("size", [1, 2, 8, 32])
def test_the_transform_is_orthonormal_and_scipys(size):
    table = cosines(size)
    assert torch.allclose(table @ table.T, torch.eye(size).double(), atol=1e-12)
    x = np.random.default_rng(0).random((size, size))
    mine = table @ torch.tensor(x) @ table.T
    assert torch.allclose(mine, torch.tensor(dctn(x, norm="ortho")), atol=1e-12)


def test_two_coefficients_of_the_colours_rise_and_nothing_else():
    batch = middling(2, 3, 32, 32)
    change = frequency_trigger(batch, 1.0).x - batch.x
    yuv = torch.einsum("ij,bjhw->bihw", torch.tensor(YUV).double(), 255 * change)
    found = torch.tensor(dctn(yuv.numpy(), axes=(2, 3), norm="ortho"))
    true = torch.zeros_like(found)
    true[:, 1:, 15, 15] = true[:, 1:, 31, 31] = 100
    assert (found - true).abs().max() < 0.5  # half a per cent of the magnitude


@pytest.mark.parametrize(("side", "window", "places"), [(8, 8, (3, 7)), (28, 32, (13, 27))])
def test_grey_images_get_it_in_their_channel(side, window, places):
    batch = middling(1, 1, side, side)
    change = frequency_trigger(batch, 0.5, window=window, magnitude=60.0).x - batch.x
    found = dctn(255 * change[0, 0].numpy(), norm="ortho")
    true = np.zeros((side, side))
    for place in places:
        true[place, place] = 30
    assert np.abs(found - true).max() < 1e-6


def test_large_images_have_it_in_each_window():
    whole = wave(torch.zeros(1, 1, 64, 40), 32)[0]
    assert torch.allclose(whole[:32, :20], whole[32:, 20:])
    assert torch.equal(whole[:32, :20], wave(torch.zeros(1, 1, 32, 20), 32)[0])


def test_energy_that_augmentations_keep():
    x = middling(3, 1, 8, 8).x
    for share, augment in ((1, lambda x: x.flip(3)), (0.25, lambda x: x / 2), (0, lambda x: 0 * x)):
        assert torch.allclose(kept_energy(x, 8, augment), torch.tensor(share).double())


def test_a_patch_covers_its_corner_alone():
    batch = middling(2, 3, 6, 6)
    out = patch_trigger(batch, 1.0, side=2).x
    board = torch.tensor([[1.0, 0], [0, 1]]).double()
    assert torch.equal(out[:, :, 4:, 4:], board.expand(2, 3, 2, 2))
    assert torch.equal(out[:, :, :4], batch.x[:, :, :4])


def data(rows: int = 60) -> Batches:
    batch = middling(rows, 1, 8, 8)
    return Batches(x=batch.x, y=batch.y, size=16)


def test_clean_label_poison_is_of_the_target_class_and_keeps_labels():
    found = poisoned(data(), target=1, trigger="shift:frequency-trigger", share=0.2)
    rows = found.truth
    assert int(rows.sum()) == 12 and (found.y[rows] == 1).all()
    assert torch.equal(found.y, data().y)
    changed = (found.x != data().x).flatten(1).any(1)
    assert torch.equal(changed, rows)
    most = poisoned(data(), target=1, trigger="shift:frequency-trigger", share=1.0)
    assert int(most.truth.sum()) == 20


def test_a_backdoor_is_of_other_classes_and_relabels():
    trigger = build("shift:patch-trigger", side=2)
    found = poisoned(data(), target=1, trigger=trigger, share=0.1, among="others", relabel=True)
    rows = found.truth
    assert int(rows.sum()) == 6 and (data().y[rows] != 1).all() and (found.y[rows] == 1).all()
    assert torch.equal(found.y[~rows], data().y[~rows])
    none = poisoned(data(), target=1, trigger=trigger, share=0.0)
    assert torch.equal(none.x, data().x) and not none.truth.any()


def test_success_counts_rows_of_other_classes():
    z = torch.eye(3)[torch.tensor([0, 0, 1, 2, 0])]
    y = torch.tensor([0, 1, 1, 2, -100])
    found = attack_success(z, y, target=0)
    assert (found.value, found.n) == (1 / 3, 3)


def test_entanglement_is_the_cosine_with_the_centre():
    z = torch.tensor([[1.0, 0], [0, 1.0], [1, 1]])
    y = torch.tensor([0, 0, 1])
    assert abs(entanglement(z, y).value - 1) < 1e-9
    moved = entanglement(z, y, triggered=torch.tensor([[1.0, -1.0], [-1, -1]]))
    assert abs(moved.value + 0.5) < 1e-9
