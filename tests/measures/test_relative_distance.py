"""The relative distance of a linear model is its closed form."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.deepfool import DeepFool
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.measures.model.relative_distance import relative_distance
from holdfast.testing.worlds import two_class


def test_linear_models_have_a_closed_form_however_small_the_threat():
    world = two_class(rows=40)
    y = world.goal.y.clone()
    y[:5] = 1 - y[:5]  # wrong without a change, or no longer so
    safe = world.model(world.x).argmax(1) == y
    assert 0 < int(safe.sum()) < 40
    truth = (world.radius(2).abs() / world.x.norm(dim=1))[safe].mean()
    rows = Batches(x=world.x, y=y, size=7)
    attack = DeepFool(overshoot=0.0)
    found = relative_distance(world.model, rows, attack=attack)
    assert found.n == int(safe.sum()) and found.bound == "upper"
    torch.testing.assert_close(torch.tensor(found.value).double(), truth, rtol=2e-3, atol=0)


def test_what_cannot_be_answered_is_refused():
    world = two_class(rows=8)
    rows = Batches(x=world.x, y=world.goal.y)
    with pytest.raises(Unsupported, match="smallest"):
        relative_distance(world.model, rows, attack="attack:pgd")
    with pytest.raises(Unsupported, match="no row"):
        relative_distance(world.model, Batches(x=world.x, y=1 - world.model(world.x).argmax(1)))
