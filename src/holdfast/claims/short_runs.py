"""The scene that claims about tuned and distilled nets share: digits, a small net, short runs.

Adam at 1e-2, 50 steps of 160 rows, an l-inf radius of 0.1 with three steps in training; judged by
twenty steps from two starts on 500 rows that were not learned from.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.digits import accuracy, split
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Hook, Model, Objective, Threat
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.run.loop import Training
from holdfast.run.search import search
from holdfast.threats.norms import LInf

ROWS, EPOCHS, SIZE, HELD = 320, 25, 160, 500
THREAT = LInf(radius=0.1)
INNER = PGD(steps=3, travel=2.5, climb="soft")
JUDGE = PGD(steps=20, restarts=2, travel=2.5)


def net(seed: int, width: int = 64) -> nn.Sequential:
    """Two hidden layers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, 10),
        )  # fmt: skip


def rows(seed: int, count: int = ROWS) -> tuple[Batches, Batches]:
    """Rows to learn from and held-out ones."""
    data, test = split(seed, count)
    return replace(data, size=SIZE), test.take(slice(0, HELD))


def trained(
    seed: int,
    objective: Objective | str,
    *,
    model: nn.Module | None = None,
    data: Batches | None = None,
    epochs: int = EPOCHS,
    hooks: tuple[Hook, ...] = (),
    rate: float = 1e-2,
) -> Any:
    """A model after training, in evaluation mode."""
    made = net(seed) if model is None else model
    learned = rows(seed)[0] if data is None else data
    plan = Training(
        objective=objective, epochs=epochs, optimizer=Later("torch:Adam", lr=rate), hooks=hooks
    )
    return plan(made, learned, dice=Dice.of(len(learned), seed)).model


def robust(model: Model, test: Batches, threat: Threat = THREAT) -> float:
    """Share of rows that twenty steps from three starts do not break."""
    x: torch.Tensor = test.x  # type: ignore[assignment]
    found = search(JUDGE, model, x, Untargeted(test.y), threat)
    return 1 - float(found.broken.double().mean())


def scores(model: nn.Module, seed: int) -> tuple[float, float]:
    """Clean and robust accuracy on held-out rows."""
    test = rows(seed)[1]
    return accuracy(model, test), robust(model, test)


@cache
def standard(seed: int) -> nn.Module:
    """A net after plain training."""
    made: nn.Module = trained(seed, "objective:supervised")
    return made


@cache
def hardened(seed: int) -> nn.Module:
    """A net after adversarial training."""
    made: nn.Module = trained(seed, AdversarialTraining(threat=THREAT, attack=INNER))
    return made
