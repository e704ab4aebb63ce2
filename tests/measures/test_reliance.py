"""Swapped coordinates: known reliance of rules that look at one place."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.measures.model.reliance import reliance, swapped
from holdfast.readers.synthetic.slabs import slabs


def one_hot(y: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(y, 2).double()


@pytest.mark.parametrize("rotate", [False, True])
def test_a_rule_of_one_coordinate_relies_on_it_alone(rotate):
    made = slabs(2000, Dice.of(2000), rotate=rotate)
    turn = made.truth.turn if rotate else None
    by_first = reliance(
        lambda x: one_hot((made.truth.coordinates(x)[:, 0] > 0).long()), made, turn=turn
    )
    assert by_first.whole.value == by_first.alone.value == 1
    assert by_first.without.value == pytest.approx(0.5, abs=0.04)
    by_last = reliance(lambda x: one_hot(made.truth.rule(x)), made, turn=turn)
    assert by_last.without.value == 1 and by_last.alone.value == pytest.approx(0.5, abs=0.04)
    assert by_last.drops[0] == 0


def test_swapping_keeps_every_column():
    x = torch.rand(30, 2, 3)
    out = swapped(x, torch.tensor([1, 4]), torch.randperm(30))
    same = (out.flatten(1) == x.flatten(1)).all(0)
    assert same.tolist() == [True, False, True, True, False, True]
    assert torch.equal(out.flatten(1).sort(0).values, x.flatten(1).sort(0).values)


def test_a_coordinate_that_does_not_exist():
    rows = Batches(x=torch.rand(4, 3), y=torch.zeros(4).long())
    with pytest.raises(ConfigError):
        reliance(lambda x: x, rows, coordinates=(3,))
