"""GRACE against loops over pairs."""

from __future__ import annotations

import math

import torch
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.objectives.grace import Grace
from holdfast.run.training import TrainingRun


def test_terms_are_means_over_pairs():
    z = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    loss = Grace(beta=0.7, preference=0.5, separation=2.0, cohesion=3.0, margin=2.5)
    run = TrainingRun(nn.Identity(), nn.ModuleDict(), Dice.of(7), 1)
    found = loss(run, Batch(z, y, torch.arange(7)))
    line = z[y == 0].mean(0) - z[y > 0].mean(0)
    reward = z @ (line / line.norm())
    for i in range(7):
        across = [j for j in range(7) if (y[i] == 0) != (y[j] == 0)]
        among = [j for j in range(7) if {int(y[i]), int(y[j])} == {1, 2}]
        near = sum(max(0.0, 2.5 - float((z[i] - z[j]).norm())) for j in across) / len(across)
        square = sum(float((z[i] - z[j]).square().sum()) for j in among) / max(len(among), 1)
        sign = 1 if y[i] == 0 else -1
        lead = [sign * float(reward[i] - reward[j]) for j in across]
        prefer = sum(math.log1p(math.exp(-0.7 * v)) for v in lead) / len(lead)
        assert abs(float(found[i]) - 2 * near - 3 * square - 0.5 * prefer) < 1e-9


def test_rows_without_a_partner_count_nothing_and_equal_rows_have_a_slope():
    run = TrainingRun(nn.Identity(), nn.ModuleDict(), Dice.of(3), 1)
    z = torch.zeros(3, 2, requires_grad=True)
    alone = Grace()(run, Batch(z, torch.zeros(3, dtype=torch.int64), torch.arange(3)))
    assert torch.equal(alone, torch.zeros(3))
    Grace()(run, Batch(z, torch.tensor([0, 1, 2]), torch.arange(3))).sum().backward()
    assert z.grad is not None and bool(z.grad.isfinite().all())
