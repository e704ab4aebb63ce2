"""A smaller scene for claims about adversarial training: digits, few rows, a small net.

An l-inf radius of 0.1 with four steps in training; judged on 500 rows that were not learned from
by twenty steps on the margin from two starts.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.digits import split
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Hook, Objective
from holdfast.run.loop import Training
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

THREAT = LInf(radius=0.1)
INNER = PGD(steps=4, travel=2.5, climb="soft")
JUDGE = PGD(steps=20, restarts=2, travel=2.5, climb="margin")
ADAM = Later("torch:Adam", lr=4e-3)


def rows(seed: int, count: int = 640) -> tuple[Batches, Batches]:
    """Digits to learn from, in batches of 128, and 500 others."""
    data, test = split(seed, count)
    return replace(data, size=128), test


def small(seed: int, *hidden: int, inputs: int = 64, classes: int = 10) -> nn.Sequential:
    """A ReLU net whose weights come from the seed."""
    sizes = [inputs, *hidden]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))


def hardened(
    model: nn.Module,
    data: Batches,
    objective: Objective,
    epochs: int,
    *,
    hooks: tuple[Hook, ...] = (),
    optimizer: Later = ADAM,
    seed: int = 0,
) -> TrainingRun:
    """Train at a constant rate."""
    plan = Training(
        objective=objective, epochs=epochs, optimizer=optimizer, schedule="constant", hooks=hooks
    )
    return plan(model, data, dice=Dice.of(len(data), seed))


def held(model: nn.Module, test: Batches, threat: LInf = THREAT, judge: PGD = JUDGE) -> Tensor:
    """Which held-out rows keep their label under attack."""
    found = search(judge, model.eval(), test.whole.x, Untargeted(test.y), threat)  # type: ignore[arg-type]
    return ~found.broken


def robust(model: nn.Module, test: Batches, threat: LInf = THREAT, judge: PGD = JUDGE) -> float:
    """Robust accuracy on held-out rows."""
    return float(held(model, test, threat, judge).double().mean())
