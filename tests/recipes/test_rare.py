"""Presets for rare classes and groups: what they weigh, what they keep, and that they help."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from holdfast.core.catalog import resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.recipes.families import REWEIGHTING, families
from holdfast.recipes.rare import ADJUSTED, BALANCED, LAST_LAYER
from holdfast.recipes.standard import Standard

LINE = Later("torch:SGD", lr=0.1)


def uneven(seed: int = 0) -> Batches:
    """A true and a clearer spurious feature, which disagree in 10 of 200 rows."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(200) % 2
    other = torch.where(torch.arange(200) < 10, 1 - y, y)
    sign = torch.stack([2.0 * y - 1, 3 * (2.0 * other - 1)], 1)
    x = sign + torch.tensor([0.7, 0.3]) * torch.randn(200, 2, generator=g)
    return Batches(x=x.double(), y=y, group=(y != other).long(), size=200)


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2)).double()


def test_a_step_of_balanced_groups_is_that_of_the_mean_over_groups_of_their_means() -> None:
    data, made, twin = uneven(), net(), net()
    replace(BALANCED, optimizer=LINE, epochs=1, schedule="constant")(made, data)
    each = nn.functional.cross_entropy(twin(data.x), data.y, reduction="none")
    (each[data.group == 0].mean() + each[data.group == 1].mean()).div(2).backward()
    for p, q in zip(made.parameters(), twin.parameters(), strict=True):
        assert q.grad is not None
        assert torch.allclose(p, q - 0.1 * q.grad, atol=1e-9)


def test_only_the_last_layer_learns_anew_and_its_rows_count_by_group() -> None:
    data, before = uneven(), net()
    Standard(optimizer=LINE, epochs=40)(before, data)
    after = deepcopy(before)
    replace(LAST_LAYER, optimizer=LINE)(after, data, dice=Dice.of(200, 0))
    assert torch.equal(after[0].weight, before[0].weight)
    assert torch.equal(after[0].bias, before[0].bias)
    few = data.group == 1
    with torch.no_grad():
        gained = [float((m(data.x).argmax(1) == data.y)[few].double().mean())
                  for m in (before, after)]  # fmt: skip
    assert gained[1] > gained[0] + 0.2


def test_they_are_told_by_name_and_by_family() -> None:
    for name, preset in (("logit-adjustment", ADJUSTED), ("balanced-groups", BALANCED),
                         ("last-layer-retraining", LAST_LAYER)):  # fmt: skip
        assert resolve(f"recipe:{name}") == preset
    assert families(BALANCED) == families(LAST_LAYER) == (REWEIGHTING,)
