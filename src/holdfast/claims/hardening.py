"""The scene that claims about adversarial training share: digits, a net of two hidden layers.

Adam at 1e-3, 40 epochs, batches of 64, an l-inf radius of 0.1 with ten steps of a quarter of it
in training; judged by twenty steps from three starts on 500 rows that were not learned from.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.digits import accuracy, split
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Objective
from holdfast.run.loop import Training
from holdfast.run.search import search
from holdfast.threats.norms import LInf

ROWS, EPOCHS = 640, 40
THREAT = LInf(radius=0.1)
INNER = PGD(steps=10, travel=2.5, climb="soft")
JUDGE = PGD(steps=20, restarts=3, travel=2.5)


def judged(seed: int, objective: Objective | str) -> tuple[float, float]:
    """Clean and robust accuracy on held-out rows after training with an objective."""
    data, test = split(seed, ROWS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )
    plan = Training(
        objective=objective,
        epochs=EPOCHS,
        optimizer=Later("torch:Adam", lr=1e-3),
        schedule="constant",
    )
    plan(model, data)
    found = search(JUDGE, model, test.whole.x, Untargeted(test.y), THREAT)  # type: ignore[arg-type]
    return accuracy(model, test), 1 - float(found.broken.double().mean())


@cache
def plain(seed: int) -> tuple[float, float]:
    """The same after plain training: what hardening is held against."""
    return judged(seed, "objective:supervised")
