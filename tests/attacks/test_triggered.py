"""Poisoned training sets: how many rows, which ones, and what is in them."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.triggered import poisoned, triggered
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError


def _data(n=250):
    g = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randint(1, 9, (n, 4), generator=g), torch.zeros(n, 2).long()], 1)
    return Batches(x=x, y=torch.randint(3, (n,), generator=g))


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.03, 1.0])
def test_exactly_the_share_is_poisoned(rate):
    data, trigger = _data(), torch.tensor([7, 8])
    made, rows = poisoned(data, trigger, 2, rate=rate, dice=Dice.of(250, seed=1))
    assert len(rows) == round(rate * 250) == len(set(rows.tolist()))
    assert (made.x[rows, 4:] == trigger).all() and (made.y[rows] == 2).all()
    rest = torch.ones(250, dtype=torch.bool)
    rest[rows] = False
    assert torch.equal(made.x[rest], data.x[rest]) and torch.equal(made.y[rest], data.y[rest])
    if rate < 0.5:
        assert (data.y[rows] != 2).all()
    assert (data.x[:, 4:] == 0).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="free positions"):
        triggered(_data().x, torch.tensor([1]))
    with pytest.raises(ConfigError, match="rate"):
        poisoned(_data(), torch.tensor([7, 8]), 0, rate=1.5)
