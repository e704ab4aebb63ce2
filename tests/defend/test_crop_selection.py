"""The selected window depends on content alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.core.errors import ConfigError, Unsupported
from holdfast.defend.crop_selection import CropSelected, crop_selection, kept_probability


def images(rows: int = 6, side: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.rand(rows, 2, side, side, generator=torch.Generator().manual_seed(seed))


def chosen(cyclic: bool) -> CropSelected:
    return crop_selection(nn.Flatten(), share=1 / 3, cyclic=cyclic)


def test_every_cyclic_move_selects_the_same_pixels() -> None:
    x, method = images(), chosen(True)
    still = method.crop(x)
    assert still.shape == (6, 2, 8, 8)
    for i in range(12):
        for j in range(12):
            assert torch.equal(method.crop(x.roll((i, j), dims=(2, 3))), still)
            assert torch.equal(method(x.roll((i, j), dims=(2, 3))), method(x))


def test_ties_are_decided_by_content_not_by_place() -> None:
    """Flat images tie everywhere; two copies of one patch tie with each other."""
    x, method = torch.full((1, 2, 12, 12), 0.5), chosen(True)
    assert torch.equal(method.crop(x), method.crop(x.roll(3, dims=2)))
    x[:, :, 2:4, 2:4] = 1
    x[:, :, 8:10, 8:10] = 1
    for i in range(12):
        assert torch.equal(method.crop(x.roll((i, i), dims=(2, 3))), method.crop(x))


def test_a_realistic_move_keeps_the_window_unless_a_new_one_wins() -> None:
    wide, method, kept = images(400, 13), chosen(False), 0
    a, b = wide[:, :, :12, :12], wide[:, :, :12, 1:]
    same = (method.crop(a) == method.crop(b)).flatten(1).all(1)
    left = method.place(a)[1]
    kept = float(same.double().mean())
    least = kept_probability(5, 1)
    assert kept >= least - 3 * (least * (1 - least) / 400) ** 0.5
    assert not bool(same[left == 0].any())  # the winner left the view


def test_signals_and_refusals() -> None:
    model = nn.Linear(10, 3)
    x = torch.rand(4, 10)
    assert crop_selection(model)(x).shape == (4, 3)
    assert torch.equal(crop_selection(model, share=0.0)(x), model(x))
    with pytest.raises(ConfigError):
        crop_selection(model, share=1.0)
    with pytest.raises(Unsupported):
        crop_selection(model)(torch.zeros(2, 3, 4))


def test_kept_probability_is_the_share_of_common_windows() -> None:
    for windows, pixels in ((9, 1), (5, 2), (3, 3)):
        a, b = set(range(windows)), set(range(pixels, windows + pixels))
        assert kept_probability(windows, pixels) == len(a & b) / len(a | b)
