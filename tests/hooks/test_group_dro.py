"""Online weights of groups against the algorithm written out, and what they come to."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from tests.recipes.test_rare import net, uneven
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.hooks.group_dro import GroupDRO
from holdfast.recipes.families import REWEIGHTING, families
from holdfast.recipes.standard import Standard
from holdfast.recipes.worst_group import GROUP_DRO
from holdfast.run.training import TrainingRun


def batch_of(groups: list[int]) -> Batch:
    n = len(groups)
    group = torch.tensor(groups)
    return Batch(torch.zeros(n, 1), torch.zeros(n).long(), torch.arange(n), group)


def run_of() -> TrainingRun:
    return TrainingRun(nn.Linear(1, 1), nn.ModuleDict(), Dice.of(8), 10)


def test_weights_are_those_of_the_algorithm_batch_by_batch() -> None:
    """A naive twin: `q_g *= exp(step * mean loss)`, and a group's rows share `q_g`."""
    hook, run, q = GroupDRO(step=0.7), run_of(), {0: 1.0, 1: 1.0, 2: 1.0}
    g = torch.Generator().manual_seed(4)
    for groups in ([0, 0, 0, 1, 2, 2], [1, 0, 2, 2, 2, 2], [0, 1, 1, 1, 2, 0]):
        losses = 2 * torch.rand(6, generator=g, dtype=torch.float64)
        share = hook.share(run, batch_of(groups), losses)
        means = {k: losses[torch.tensor(groups) == k].mean().item() for k in q}
        q = {k: v * math.exp(0.7 * means[k]) for k, v in q.items()}
        total = sum(q.values())
        value = sum(q[k] / total * means[k] for k in q)
        assert share is not None
        assert abs(float((share * losses).mean()) - value) < 1e-12
        rows = [6 * q[k] / total / groups.count(k) for k in groups]
        assert torch.allclose(share, torch.tensor(rows, dtype=torch.float64), atol=1e-12)


def test_a_group_that_is_not_in_the_batch_keeps_its_weight() -> None:
    hook, run = GroupDRO(step=1.0), run_of()
    hook.share(run, batch_of([0, 1, 2]), torch.tensor([0.0, 1.0, 3.0]))
    share = hook.share(run, batch_of([0, 0, 1]), torch.zeros(3))
    assert share is not None and abs(float(share.mean()) - 1) < 1e-6
    assert torch.allclose(share[2] / share[0], torch.tensor(2 * math.e), atol=1e-5)
    again = hook.share(run, batch_of([0, 1, 2]), torch.zeros(3))
    assert again is not None
    assert torch.allclose(again[2] / again[1], torch.tensor(math.e**2), atol=1e-4)


def test_labels_are_the_groups_where_none_are_named() -> None:
    hook, x = GroupDRO(step=1.0), torch.zeros(3, 1)
    losses = torch.tensor([0.0, 2.0, 0.0])
    own = Batch(x, torch.tensor([0, 1, 0]), torch.arange(3))
    named = Batch(x, torch.zeros(3).long(), torch.arange(3), torch.tensor([0, 1, 0]))
    first, second = hook.share(run_of(), own, losses), hook.share(run_of(), named, losses)
    assert first is not None and second is not None and torch.equal(first, second)
    numbers = Batch(x, torch.rand(3), torch.arange(3))
    assert hook.share(run_of(), numbers, losses) is None


def test_the_worst_group_ends_with_a_smaller_loss() -> None:
    """On all rows in one batch: the largest mean loss of a group falls below that of training."""
    data, found = uneven(), {}
    plan = replace(GROUP_DRO, hooks=(GroupDRO(step=0.3),))
    for name, recipe in (("plain", Standard()), ("dro", plan)):
        model = net()
        replace(recipe, optimizer=Later("torch:SGD", lr=0.2), epochs=150)(model, data)
        with torch.no_grad():
            each = nn.functional.cross_entropy(model(data.x), data.y, reduction="none")
        found[name] = [float(each[data.group == k].mean()) for k in (0, 1)]
    assert max(found["dro"]) < 0.5 * max(found["plain"])
    assert families(GROUP_DRO) == (REWEIGHTING,)
