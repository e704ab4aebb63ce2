"""Batches: fixed order, shuffled epochs from dice, mixtures."""

import pytest
import torch

from holdfast.core.data import Batches, mix
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError


def numbers(n: int, start: int = 0) -> Batches:
    x = torch.arange(start, start + n).float()[:, None]
    return Batches(x=x, y=torch.arange(n) % 3, size=4)


def test_iteration_is_in_order_and_draw_is_a_permutation() -> None:
    data = numbers(10)
    assert torch.cat([b.x for b in data]).flatten().tolist() == list(range(10))
    drawn = torch.cat([b.index for b in data.draw(Dice.of(0, 1))])
    again = torch.cat([b.index for b in data.draw(Dice.of(0, 1))])
    assert sorted(drawn.tolist()) == list(range(10))
    assert torch.equal(drawn, again)
    assert drawn.tolist() != list(range(10))


def test_take_keeps_positions() -> None:
    part = numbers(10).take(torch.tensor([7, 2]))
    assert part.index.tolist() == [7, 2]
    assert part.take(slice(1, 2)).index.tolist() == [2]


def test_mix_has_the_share_and_no_shared_positions() -> None:
    both = mix(numbers(8), numbers(3, 100), 0.5)
    assert len(both) == 16
    assert (both.x >= 100).sum() == 8
    assert len(both.index.unique()) == 16
    with pytest.raises(ShapeError):
        mix(numbers(8), numbers(3), 1.0)


def test_labels_must_match() -> None:
    with pytest.raises(ShapeError, match="3 inputs but 2 labels"):
        Batches(x=torch.zeros(3, 1), y=torch.zeros(2))
