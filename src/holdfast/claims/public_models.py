"""The scene that claims about transfer share: small nets on digits, trained in several ways."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.digits import split
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.kinds import Objective, Threat
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.run.loop import Training
from holdfast.threats.norms import L2, LInf

ROWS, WIDTH, EPOCHS = 640, 96, 20
INNER = PGD(steps=5, travel=2.5, climb="soft")
HARD: dict[str, Threat] = {"linf": LInf(radius=0.15), "l2": L2(radius=0.9)}


def fresh(seed: int) -> nn.Sequential:
    """An untrained net of one hidden layer on images."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))


def convolutional(seed: int) -> nn.Sequential:
    """An untrained net with one convolution."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10)
        )


def images(data: Batches) -> Batches:
    """The same digits as images of 8 x 8 pixels."""
    return replace(data, x=data.x.reshape(-1, 1, 8, 8))  # type: ignore[union-attr]


def taught(model: nn.Sequential, seed: int, objective: Objective) -> nn.Sequential:
    """A net after training with an objective on the digits of a seed."""
    plan = Training(
        objective=objective,
        epochs=EPOCHS,
        optimizer=Later("torch:Adam", lr=3e-3),
        schedule="constant",
    )
    plan(model, images(split(seed, ROWS)[0]))
    return model


def learned(model: nn.Sequential, seed: int) -> nn.Sequential:
    """A net after 60 steps on all digits of a seed at once."""
    data = images(split(seed, ROWS)[0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(data.x), data.y).backward()
        optimizer.step()
    model.zero_grad()
    return model.eval()


@cache
def public(seed: int, kind: str, number: int) -> nn.Sequential:
    """A public model: `plain` and `cnn` by what it is, `linf` and `l2` by how it was hardened."""
    start = (convolutional if kind == "cnn" else fresh)(1000 * seed + number)
    if kind not in HARD:
        return learned(start, seed)
    return taught(start, seed, AdversarialTraining(threat=HARD[kind], attack=INNER))


def unseen(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Images that were not learned from, and their labels."""
    _, test = split(seed, ROWS)
    return test.x[:count].reshape(-1, 1, 8, 8), test.y[:count]  # type: ignore[index, union-attr]
