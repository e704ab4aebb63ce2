"""Scores alone break a model whose gradients are zero, which gradient attacks cannot."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.attacks.square import Square
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.run.search import search
from holdfast.testing.worlds import staircase
from holdfast.threats.norms import LInf


class Still(LInf):
    """Mutant: proposes the change it was given."""

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        return change


class Timid(LInf):
    """Mutant: windows move to the middle of the ball instead of to its surface."""

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        return super().near(x, change, share, dice, gradient) * 0.2


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy of a staircase under scores and under gradients, same ball."""
    world = staircase(rows=24, size=16, seed=seed)
    radius = 1.25 * float(world.radius(float("inf")).quantile(0.75))
    kind = {"": LInf, "keeps-still": Still, "stays-inside": Timid}[mutant]
    blind = search(PGD(), world.model, world.x, world.goal, LInf(radius=radius))
    start = search(PGD(start="none"), world.model, world.x, world.goal, LInf(radius=radius))
    found = search(Square(steps=300), world.model, world.x, world.goal, kind(radius=radius))
    left, right = (float((~f.broken).double().mean()) for f in (found, blind))
    unmoved = torch.equal(start.margin, start.clean)
    return Trial(left, right, left <= right - 0.3 and left <= 0.25 and unmoved)


CLAIM = Claim(
    paper="square",
    methods=("attack:square", "attack:pgd"),
    says="on a model without gradients it leaves at least 30 points less accuracy than PGD",
    left="accuracy under 300 proposals",
    right="accuracy under PGD",
    trial=trial,
    mutants=("keeps-still", "stays-inside"),
    seconds=5,
)
