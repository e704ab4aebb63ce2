"""One term of the margin first: the way out where its slope is drowned by the other's."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.attacks.chain import MD_ENSEMBLE
from holdfast.attacks.decomposition import MD_MT, MarginDecomposition
from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack
from holdfast.run.search import search
from holdfast.threats.norms import LInf

SIZE, ROWS = 100, 8


def trap(x: Tensor) -> Tensor:
    """Two logits of t = 2x - 1: the label's falls ten times as fast as the other one.

    Near t = -1 the other one rises steeply; ascent on their difference never gets there.
    """
    t = 2 * x - 1
    own = SIZE - t.sum(1)
    other = -SIZE + (-0.1 * t + 4 * torch.relu(-t - 0.8) / 0.2).sum(1)
    return torch.stack([own, other], 1)


def dead_end(x: Tensor) -> Tensor:
    """Class 1 is the nearest by far and never wins; class 2 does at the edge of the ball."""
    d = (x - 0.5) / 5
    first, second = (10 * d[:, 0] - 0.1).clamp(max=-0.05), 9 * d[:, 1] - 0.85
    return torch.stack([0 * first, first, second], 1)


def _attacks(mutant: str) -> tuple[Attack, Attack, Attack]:
    single = MarginDecomposition()
    if mutant == "climbs-the-margin-at-once":
        single = replace(single, turn=0.0)
    many = replace(MD_MT, targets=1) if mutant == "one-target" else MD_MT
    chain = replace(MD_ENSEMBLE, attacks=("attack:apgd", single, many, "attack:fab"))
    return single, many, chain


def trial(seed: int, mutant: str = "") -> Trial:
    """Rows that differ in their draws, in a trap of slopes and before a dead end."""
    x = torch.full((ROWS, SIZE), 0.5, dtype=torch.float64)
    goal, threat = Untargeted(torch.zeros(ROWS, dtype=torch.long)), LInf(radius=0.5)
    single, many, chain = _attacks(mutant)

    def broken(attack: Attack, model: object) -> float:
        found = search(attack, model, x, goal, threat, dice=Dice.of(ROWS, seed))  # type: ignore[arg-type]
        return float(found.broken.double().mean())

    plain = PGD(steps=100, climb="margin", restarts=2)
    shares = [broken(single, trap), broken(many, dead_end), broken(chain, trap)]
    right, left = broken(plain, trap), min(shares)
    return Trial(left, right, left == 1.0 and right == 0.0)


CLAIM = Claim(
    paper="md-attack",
    methods=("attack:md", "attack:md-mt", "attack:md-ensemble"),
    says="where the slope of one term of the margin drowns the other's, climbing one term first "
    "breaks every row and ascent on the margin none; with targets, dead ends are passed as well",
    left="least share of rows broken by margin decomposition, with targets, and in a row",
    right="share broken by twice 100 steps on the margin",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("climbs-the-margin-at-once", "one-target"),
    seconds=10,
)
