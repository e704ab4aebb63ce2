"""The short attack: what an epoch costs, and that its steps reach the edge of the threat."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.objectives.adversary import LargestLoss, goal_of
from holdfast.recipes.short import SHORT_AT
from holdfast.recipes.standard import PGD_AT
from holdfast.threats.norms import LInf


class Counting(nn.Module):
    """A linear net that counts the rows it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 2).double()
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        out: Tensor = self.inner(x)
        return out


def test_an_epoch_costs_less_than_half_of_ten_steps() -> None:
    x, seen = torch.rand(12, 4).double(), []
    for plan in (SHORT_AT, PGD_AT):
        model = Counting()
        replace(plan, epochs=1)(model, Batches(x=x, y=torch.arange(12) % 2, size=6))
        seen.append(model.seen / 12)
    assert seen[0] == seen[1] - 7 and 2 * seen[0] < seen[1]


def test_its_attack_is_exact_on_a_linear_net() -> None:
    weight = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-1.0, 1.0, 2.0, 0.0]]).double()
    net = nn.Linear(4, 2, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(weight)
    x, y, threat = torch.full((6, 4), 0.5).double(), torch.arange(6) % 2, LInf(radius=0.1)
    attack = SHORT_AT.objective.base.attack  # type: ignore[union-attr]
    change = attack(net, x, LargestLoss(goal_of(y)), threat, dice=Dice.of(6, 0))
    away = weight[1 - y] - weight[y]
    assert torch.allclose(change, 0.1 * away.sign(), atol=1e-9)
