"""Finite classes: dimensions against enumeration, learners against their guarantees."""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch

from holdfast.core.errors import ConfigError, Unsupported
from holdfast.measures.classes.covers import (
    deviation,
    intervals,
    learning_to_cover,
    thresholds,
)
from holdfast.measures.classes.median_boost import median, median_boost, sparsified
from holdfast.measures.classes.shattering import dual_fat_shattering, fat_shattering, labelings


def naive_fat(values: torch.Tensor, gamma: float) -> int:
    """Straight from the definition, over all witnesses between two values."""
    points, best = values.shape[1], 0
    for size in range(1, points + 1):
        for subset in combinations(range(points), size):
            ends = [sorted({float(v) for v in values[:, i]}) for i in subset]
            middles = [[(a + b) / 2 for a in e for b in e if a < b] for e in ends]
            for witness in product(*middles):
                gap = values[:, list(subset)] - torch.tensor(witness).double()
                signs = {
                    tuple(s)
                    for s in product((1, -1), repeat=size)
                    if bool((torch.tensor(s) * gap >= gamma - 1e-12).all(1).any())
                }
                if len(signs) == 2**size:
                    best = size
    return best


def test_known_dimensions() -> None:
    x = torch.arange(6.0)
    steps = (x >= torch.arange(7.0)[:, None] - 0.5).float()
    assert fat_shattering(steps, 0.5) == 1 and fat_shattering(steps, 0.51) == 0
    assert fat_shattering(intervals(x).float(), 0.5) == 2
    every = torch.tensor(list(product((0.0, 1.0), repeat=4)))
    assert fat_shattering(every, 0.5) == 4
    assert fat_shattering(every / 2, 0.25) == 4 and fat_shattering(every / 2, 0.3) == 0
    assert dual_fat_shattering(every, 0.5) == 2  # 16 functions as points, 4 points as functions
    assert fat_shattering(torch.zeros(1, 3), 0.1) == 0


@pytest.mark.parametrize("seed", range(4))
def test_equals_enumeration(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 4, (8, 3), generator=g).double()
    for gamma in (0.3, 0.5, 1.0, 1.5):
        assert fat_shattering(values, gamma) == naive_fat(values, gamma)


def test_labelings_are_counted() -> None:
    x = torch.rand(7, generator=torch.Generator().manual_seed(0))
    assert len(thresholds(x)) == 8 == len(labelings(thresholds(x)))
    assert len(intervals(x)) == 29 == len(labelings(intervals(x)))
    order = x.argsort()
    assert bool((thresholds(x)[:, order].int().diff(dim=1) >= 0).all())


def test_medians_fit_every_perturbation() -> None:
    g = torch.Generator().manual_seed(1)
    x = torch.rand(20, generator=g)
    functions = (torch.arange(11) / 10 - 0.03)[:, None, None]
    near = x[:, None] + torch.tensor([-0.02, 0.0, 0.02])
    values = (near >= functions).double()
    truth = values[4]
    kept = (truth == truth[:, :1]).all(1)
    found = median_boost(values[:, kept], truth[kept, 0], 0.1, g, size=2)
    assert found.error == 0 and len(found.chosen) % 2 == 1
    few = sparsified(found, values[:, kept], truth[kept, 0], 0.1, g)
    assert few.error <= 0.1 and len(few.chosen) <= len(found.chosen)
    assert torch.equal(found(values[:, kept]), truth[kept])


def test_a_class_that_does_not_fit_is_refused() -> None:
    g = torch.Generator().manual_seed(0)
    with pytest.raises(Unsupported):
        median_boost(torch.zeros(3, 4, 2), torch.ones(4), 0.1, g)
    with pytest.raises(ConfigError):
        median_boost(torch.zeros(3, 4), torch.ones(4), 0.1, g)
    assert torch.equal(median(torch.tensor([[3.0], [1.0], [2.0]])), torch.tensor([2.0]))


def test_the_cover_holds_the_best_hypothesis() -> None:
    """Without noise and with the rows themselves as labelled ones, nothing is lost."""
    g = torch.Generator().manual_seed(3)
    x = torch.rand(30, generator=g)
    y = x >= 0.4

    def learner(rows: torch.Tensor, ways: torch.Tensor) -> torch.Tensor:
        return torch.where(ways, rows, torch.inf).amin(1, keepdim=True)

    def loss(h: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (rows >= h) != labels

    found = learning_to_cover(learner, loss, thresholds(x), x, x, y)
    assert found.error == 0 and found.size == 31
    assert found.bound == pytest.approx(deviation(31, 30, 0.05))
    assert float(found.hypothesis) == float(x[y].min())
    with pytest.raises(Unsupported):
        learning_to_cover(learner, loss, torch.zeros(200_001, 1).bool(), x[:1], x, y)


@pytest.mark.parametrize("seed", range(3))
def test_a_robust_loss_is_reduced_too(seed: int) -> None:
    """Labels of points near the best threshold are unsure: what is robust elsewhere is found."""
    g, reach = torch.Generator().manual_seed(seed), 0.05
    free, x = torch.rand(60, generator=g), torch.rand(400, generator=g)
    y = (x >= 0.5) ^ (torch.rand(400, generator=g) < 0.2)

    def learner(rows: torch.Tensor, ways: torch.Tensor) -> torch.Tensor:
        low = torch.where(ways, -torch.inf, rows).amax(1, keepdim=True)
        high = torch.where(ways, rows, torch.inf).amin(1, keepdim=True)
        return (low.clamp(min=0) + high.clamp(max=1)) / 2

    def loss(h: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return ((rows - reach >= h) != labels) | ((rows + reach >= h) != labels)

    found = learning_to_cover(learner, loss, thresholds(free), free, x, y)
    grid = (torch.arange(4000) + 0.5) / 4000
    side = grid >= 0.5

    def risk(h: float) -> float:
        both = torch.stack([(grid - reach >= h) != side, (grid + reach >= h) != side])
        torn = (grid - reach >= h) != (grid + reach >= h)
        return float(torch.where(torn, 1.0, torch.where(both[0], 0.8, 0.2)).mean())

    best = min(risk(k / 200) for k in range(201))
    assert risk(float(found.hypothesis)) <= best + 2 * deviation(found.size, 400, 0.05) + 0.05
