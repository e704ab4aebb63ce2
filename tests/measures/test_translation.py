"""Every view of a small move is asked about, exactly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.measures.model.translation import translation_consistency, views


def corner(x: Tensor) -> Tensor:
    """Answers 1 where the pixel in the corner is bright."""
    bright = x[:, 0, 0, 0] - 0.5
    return torch.stack([-bright, bright], 1)


def test_cyclic_views_are_counted_by_hand() -> None:
    x = torch.zeros(2, 1, 4, 4)
    x[0, 0, 1, 1] = 1  # enters the corner under one of eight moves
    found = translation_consistency(corner, Batches(x=x, y=torch.zeros(2).long()), move="cyclic")
    assert found.consistency.tolist() == [7 / 8, 1.0]
    assert found.fooled.tolist() == [True, False] and found.robust.tolist() == [False, True]
    values = {r.name: r.value for r in found.readings()}
    assert values["translation.fooled"] == 0.5 and values["translation.consistency"] == 15 / 16


def test_windows_show_new_content_and_come_in_full_size() -> None:
    x = torch.arange(36.0).reshape(1, 1, 6, 6) / 36
    every = views(x, 1, "window")
    assert len(every) == 9 and all(v.shape == x.shape for v in every)
    ends = sorted(float(v[0, 0, 0, 0] * 36) for v in every)
    assert torch.allclose(torch.tensor(ends), torch.tensor([0, 1, 2, 6, 7, 8, 12, 13, 14.0]))
    assert torch.allclose(every[0][0, 0, 0, 0] * 36, torch.tensor(7.0))
    zoomed = views(x, 2, "zoom")
    assert len(zoomed) == 3 and torch.equal(zoomed[0], x)


def test_outputs_that_are_no_numbers_are_never_robust() -> None:
    def broken(x: Tensor) -> Tensor:
        return torch.full((len(x), 2), float("nan"))

    found = translation_consistency(
        broken, Batches(x=torch.rand(3, 1, 5, 5), y=torch.zeros(3).long())
    )
    assert bool(found.fooled.all()) and not bool(found.robust.any())


def test_refuses() -> None:
    flat = Batches(x=torch.rand(3, 5), y=torch.zeros(3).long())
    with pytest.raises(Unsupported):
        translation_consistency(corner, flat)
    small = Batches(x=torch.rand(3, 1, 2, 2), y=torch.zeros(3).long())
    with pytest.raises(ShapeError):
        translation_consistency(corner, small)
