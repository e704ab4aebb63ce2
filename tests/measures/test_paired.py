"""Answers before and after an edit, by hand."""

import pytest
import torch

from holdfast.core.errors import ShapeError
from holdfast.measures.outputs.paired import unrobustness


def logits(answers: list[int], k: int = 2) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(answers), k).double()


def test_a_constant_model_is_all_robust_or_not_at_all() -> None:
    z, y = logits([1] * 6), torch.tensor([0, 1, 0, 1, 1, 1])
    assert unrobustness(z, z, y).unrobustness.value == 0
    assert unrobustness(z, z, y, wanted=1 - y).unrobustness.value == 1


def test_by_hand() -> None:
    y = torch.tensor([0, 0, 1, 1, 2])
    a, b = logits([0, 1, 1, 0, 2], 3), logits([1, 1, 1, 1, 0], 3)
    found = unrobustness(a, b, y)
    assert found.failed.tolist() == [True, False, False, True, True]
    assert found.invariance == pytest.approx(0.4)
    drop = found.readings()[1]
    assert drop.value == pytest.approx((3 - 2) / 5) and drop.low <= drop.value <= drop.high
    # one row gained, two lost: 2 * P(at most 1 of 3) = 1
    assert found.p == pytest.approx(1.0)
    turned = unrobustness(a, b, y, wanted=torch.tensor([1, 1, 0, 0, 1]))
    # right to wanted; stays; stays; wrong to something; right, but not to the wanted one
    assert turned.failed.tolist() == [False, True, True, False, True]


def test_shapes_must_fit() -> None:
    with pytest.raises(ShapeError):
        unrobustness(logits([0, 1]), logits([0]), torch.tensor([0, 1]))
    assert unrobustness(logits([0])[:0], logits([0])[:0], torch.tensor([])).readings()[0].n == 0
