"""Clouds lose the points they should, at the level of the stage."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.objectives.curriculum import PointCurriculum
from holdfast.ops.points import chosen_points, point_saliency, without
from holdfast.run.training import TrainingRun

G = torch.Generator().manual_seed(0)
X = torch.rand(4, 10, 3, generator=G)
BATCH = Batch(X, torch.arange(4) % 2, torch.arange(4))


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.classes = nn.Linear(3, 2)

    def forward(self, x):
        return self.classes(x.square().mean(1))


def run_of(progress=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        run = TrainingRun(Mean(), nn.ModuleDict(), Dice.of(4), 1)
    run.progress = progress
    return run


def test_levels_rise_with_the_run():
    curriculum = PointCurriculum()
    for progress, kept in ((0.0, 10), (0.3, 9), (0.6, 7), (1.0, 5)):
        spoilt = curriculum.spoilt(run_of(progress), BATCH)
        assert spoilt.shape == (4, kept, 3)
    assert torch.equal(curriculum.spoilt(run_of(), BATCH), X)


def test_saliency_is_the_share_of_each_point_and_follows_it():
    model = run_of().model
    found = PointCurriculum().salient(model, BATCH)
    slopes = []
    for i in range(4):
        leaf = X[i : i + 1].clone().requires_grad_()
        nn.functional.cross_entropy(model(leaf), BATCH.y[i : i + 1]).backward()
        slopes.append(leaf.grad[0].norm(dim=1))
    naive = torch.stack(slopes)
    assert torch.allclose(found, naive / naive.sum(1, keepdim=True), atol=1e-6)
    order = torch.randperm(10, generator=G)
    moved = PointCurriculum().salient(model, BATCH._replace(x=X[:, order]))
    assert torch.allclose(moved, found[:, order], atol=1e-6)
    assert torch.allclose(point_saliency(torch.zeros(2, 5, 3)), torch.full((2, 5), 0.2))


def test_points_are_drawn_in_proportion_to_their_weight():
    weight = torch.tensor([[1.0, 2.0, 0.0, 5.0]]).expand(20000, 4)
    first = chosen_points(weight, 2, torch.rand(20000, 4, generator=G, dtype=torch.float64))
    share = first[:, 0].bincount(minlength=4) / 20000
    assert torch.allclose(share, torch.tensor([1 / 8, 2 / 8, 0, 5 / 8]), atol=0.02)
    assert bool((first[:, 0] != first[:, 1]).all())
    kept = without(X, torch.tensor([[0, 9]] * 4))
    assert torch.equal(kept, X[:, 1:9])


def test_what_does_not_fit():
    with pytest.raises(ConfigError):
        PointCurriculum(drops=(0.1,), spreads=(0.0, 0.1))
    flat = BATCH._replace(x=X.flatten(1))
    with pytest.raises(Unsupported):
        PointCurriculum()(run_of(), flat)
