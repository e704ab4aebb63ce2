"""Classes of which one is rare: logits that know the shares against plain ones and weighed rows."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.fitted import drawn
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.kinds import Objective, Run
from holdfast.hooks.balanced import BalancedGroups
from holdfast.objectives.adjusted import LogitAdjusted
from holdfast.recipes.standard import Standard

LEARNED, JUDGED = (600, 300, 60, 20), (500, 500, 500, 500)


def rows(counts: tuple[int, ...], seed: int) -> Batches:
    """Clouds about the corners of a simplex; the group of a row is its class."""
    g = torch.Generator().manual_seed(seed)
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    x = 1.6 * torch.eye(len(counts))[y] + 0.7 * torch.randn(len(y), len(counts), generator=g)
    return Batches(x=x, y=y, group=y, size=64)


class Reversed(LogitAdjusted):
    """The mutant: rare classes count as common."""

    def shares(self, run: Run, y: Tensor, classes: int) -> Tensor:
        """One over the shares."""
        rare: Tensor = 1 / super().shares(run, y, classes)
        return rare / rare.sum()


class Even(LogitAdjusted):
    """The mutant: counts nothing."""

    def shares(self, run: Run, y: Tensor, classes: int) -> Tensor:
        """The same for all."""
        return torch.full((classes,), 1 / classes)


OBJECTIVES: dict[str, Objective | str] = {
    "": "objective:logit-adjusted", "reversed": Reversed(), "counts-nothing": Even(),
    "plain": "objective:supervised", "weighed": "objective:supervised",
}  # fmt: skip


@cache
def even_accuracy(seed: int, kind: str) -> float:
    """Accuracy where all classes have equally many rows."""
    net = drawn(lambda: nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 4)), seed)
    hooks = (BalancedGroups(),) if kind == "weighed" else ()
    data, test = rows(LEARNED, seed), rows(JUDGED, seed + 50)
    plan = Standard(
        objective=OBJECTIVES[kind], hooks=hooks, optimizer=Later("torch:Adam", lr=0.01), epochs=60,
    )  # fmt: skip
    plan(net, data, dice=Dice.of(len(data), seed))
    with torch.no_grad():
        return float((net(test.x).argmax(1) == test.y).double().mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Moved logits against plain ones, and not below weighed rows."""
    moved, plain = even_accuracy(seed, mutant), even_accuracy(seed, "plain")
    holds = moved > plain + 0.02 and (mutant != "" or moved >= even_accuracy(seed, "weighed"))
    return Trial(moved, plain, holds)


CLAIM = Claim(
    paper="logit-adjustment",
    methods=("objective:logit-adjusted", "recipe:logit-adjustment"),
    says="Where classes have 600, 300, 60 and 20 rows to learn from and a net learns them by "
    "heart, accuracy on even classes is more than 2 points above that of plain logits, and no "
    "lower than that of rows weighed inversely to their class.",
    left="accuracy on even classes with logits moved by the shares",
    right="the same with plain logits",
    trial=trial,
    mutants=("reversed", "counts-nothing"),
    seconds=40,
    quick=False,
)
