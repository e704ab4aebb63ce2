"""PubDef: its weights, what it keeps, and plain training as its limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.objectives.pubdef import PubDef
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf


def _net(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()


class _Counting(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x)


def _scene(**settings):
    sources = tuple(_Counting(_net(s)) for s in (1, 2, 3))
    objective = PubDef(sources=sources, threat=LInf(radius=0.1), **settings)
    x = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = Batch(x, torch.arange(6) % 3, torch.arange(6) + 4)
    run = TrainingRun(_net(0).train(), nn.ModuleDict(), Dice(0, batch.index), 4)
    run.own([objective])
    return objective, run, batch


def _losses(run, batch, objective):
    changes = objective._changes(run, batch, batch.x, objective.threat)
    return torch.stack(
        [F.cross_entropy(run.model(batch.x + c), batch.y, reduction="none")
         for c in changes.unbind(1)], 1,
    )  # fmt: skip


def test_all_is_the_mean_of_the_sources_beside_the_clean_loss():
    objective, run, batch = _scene(clean=0.4)
    plain = F.cross_entropy(run.model(batch.x), batch.y, reduction="none")
    expected = 0.4 * plain + 0.6 * _losses(run, batch, objective).mean(1)
    assert torch.allclose(objective(run, batch), expected)


def test_topk_of_all_sources_is_all():
    objective, run, batch = _scene(mix="topk", top=3)
    same = replace(objective, mix="all")
    assert torch.allclose(objective(run, batch), same(run, batch))


def test_topk_takes_the_largest_and_scales_all_weights_up():
    objective, run, batch = _scene(mix="topk", top=1)
    plain = F.cross_entropy(run.model(batch.x), batch.y, reduction="none")
    worst = _losses(run, batch, objective).amax(1)
    share = (0.5 / 3) / (0.5 + 0.5 / 3)
    assert torch.allclose(objective(run, batch), (1 - share) * plain + share * worst)


def test_dynamic_weights_follow_the_moving_mean_and_sum_to_one():
    objective, run, batch = _scene(mix="dynamic", pace=0.25)
    losses = _losses(run, batch, objective).detach()
    own, shares = objective._weights(run, losses)
    means = 0.75 * torch.full((3,), 0.25).double() + 0.25 * losses.mean(0)
    assert torch.allclose(own + shares.sum(1), torch.ones(6).double())
    assert torch.allclose(own, torch.full((6,), 0.5).double())
    assert torch.allclose(shares[0], 0.5 * means / means.sum())


def test_random_takes_one_source_per_row():
    objective, run, batch = _scene(mix="random")
    plain = F.cross_entropy(run.model(batch.x), batch.y, reduction="none")
    each = 0.5 * plain[:, None] + 0.5 * _losses(run, batch, objective)
    found = objective(run, batch)
    assert torch.isclose(each, found[:, None]).any(1).all()


def test_changes_are_made_once_per_copy_and_are_the_same_when_made_anew():
    objective, run, batch = _scene(copies=2)
    first = objective(run, batch)
    calls = objective.sources[0].calls
    assert torch.equal(objective(run, batch.take(torch.tensor([3, 1]))), first[[3, 1]])
    assert objective.sources[0].calls == calls
    run.epoch = 1
    other = objective(run, batch)
    assert objective.sources[0].calls > calls and not torch.equal(other, first)
    run.epoch = 2
    assert torch.equal(objective(run, batch), first)
    fresh = TrainingRun(run.model, nn.ModuleDict(), Dice(0, batch.index), 4)
    anew = replace(objective, keep=False)
    fresh.own([anew])
    assert torch.equal(anew(fresh, batch), first)


def test_without_sources_it_says_so():
    _, run, batch = _scene()
    with pytest.raises(Unsupported, match="public models"):
        PubDef()(run, batch)
