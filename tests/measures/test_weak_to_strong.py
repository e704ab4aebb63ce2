"""Deception on a table made by hand, and targets against the formula."""

from __future__ import annotations

import torch

from holdfast.measures.outputs.weak_to_strong import weak_to_strong_deception
from holdfast.objectives.weak_to_strong import WeakToStrong, hardened


def logit(chances: list[float]) -> torch.Tensor:
    p = torch.tensor(chances, dtype=torch.float64)
    return torch.stack([p, 1 - p], 1).log()


Y = torch.zeros(8, dtype=torch.int64)
WEAK = [0.9, 0.8, 0.6, 0.3, 0.76, 0.2, 0.74, 0.1]
STRONG = [0.9, 0.9, 0.9, 0.9, 0.2, 0.8, 0.8, 0.3]
TAUGHT = [0.9, 0.9, 0.8, 0.7, 0.6, 0.8, 0.6, 0.2]
PULLED = [0.4, 0.9, 0.3, 0.2, 0.1, 0.7, 0.2, 0.1]


def test_cells_and_scores_as_counted_by_hand():
    found = weak_to_strong_deception(*(logit(v) for v in (WEAK, STRONG, TAUGHT, PULLED)), Y)
    assert found.lost.tolist() == [True, False, True, True, True, False, True, False]
    assert found.areas() == {
        "both": (2, 1), "strong-only": (4, 3), "weak-only": (1, 1), "neither": (1, 0)
    }  # fmt: skip
    assert found.score == 3 / 5 and found.score_of_known == 3 / 4
    assert found.lift == (3 / 5) / (4 / 8)
    weak, strong, taught = 5 / 8, 6 / 8, 7 / 8
    assert found.recovered == (taught - weak) / (strong - weak)


def test_without_a_conflict_nothing_is_lost():
    found = weak_to_strong_deception(*(logit(v) for v in (WEAK, STRONG, TAUGHT, TAUGHT)), Y)
    assert found.score is None and found.lift is None
    assert [r.name for r in found.readings()] == ["deception.lost", "deception.hidden"]


def test_targets_are_the_formula():
    own = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], dtype=torch.float64)
    taught = torch.tensor([[0.6, 0.4], [0.3, 0.7], [0.4, 0.6], [0.7, 0.3]], dtype=torch.float64)
    cut = torch.quantile(own[:, 0], taught[:, 1].mean())
    hard = torch.stack([own[:, 0] >= cut, own[:, 0] < cut], 1).double()
    assert torch.equal(hardened(own, taught), hard)
    mixed = WeakToStrong(weight=0.5, ramp=0.1)
    assert torch.allclose(mixed.target(own, taught, 0.05), 0.75 * taught + 0.25 * hard)
    assert torch.allclose(mixed.target(own, taught, 0.5), 0.5 * taught + 0.5 * hard)
    both = own * taught
    product = WeakToStrong(kind="product", weight=1.0).target(own, taught, 0.0)
    assert torch.allclose(product, both / both.sum(1, keepdim=True))
