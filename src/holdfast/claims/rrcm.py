"""Representations along noise, learned without labels, when labels are few."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from holdfast.claims.digits import split
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.smoothed_digits import radii, seeded
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.kinds import Objective
from holdfast.objectives.noisy import Noisy
from holdfast.objectives.rrcm import ConsistentRepresentation, found_among, noise_levels
from holdfast.run.loop import Training

SIGMA, TEST, LABELS, PRETRAIN, TUNE = 0.5, 200, 100, 25, 60
ADAM = Later("torch:Adam", lr=2e-3)


class Scaled(nn.Module):
    """A body that sees inputs as it did when it learned without labels, and a head for classes."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: Tensor) -> Tensor:
        level = 2 * SIGMA  # in pixels from -1 to 1
        z: Tensor = self.head(self.body((2 * x - 1) / (level**2 + 0.25) ** 0.5))
        return z


@torch.no_grad()
def _formulas() -> bool:
    """Identical embeddings along B axes cost `log(1 + (B - 1) exp(-1/t))`; ends of the grid."""
    eye, count = torch.eye(6, dtype=torch.float64), 6
    exact = torch.log1p((count - 1) * torch.exp(torch.tensor(-1 / 0.2, dtype=torch.float64)))
    loss, grid = found_among(eye, eye, 0.2), noise_levels(20, 0.002, 80.0)
    ends = abs(float(grid[0]) - 80) < 1e-6 and abs(float(grid[-1]) - 0.002) < 1e-9
    return ends and bool(torch.allclose(loss, exact.expand(count)))


def _tuned(seed: int, pretrain: Objective | None, data: Batches, few: Batches) -> nn.Module:
    """A net tuned on a few labels behind noise; first taught without labels, if at all."""
    body = seeded(seed, (64, 256), nn.ReLU, (256, 64))
    epochs = TUNE
    if pretrain is not None:
        Training(objective=pretrain, epochs=PRETRAIN, optimizer=ADAM)(body, data)
    else:  # as many steps in all
        epochs += PRETRAIN * len(data) // len(few)
    model = Scaled(nn.Sequential(body, nn.ReLU()), seeded(seed + 1, (64, 10)))
    Training(objective=Noisy(sigma=SIGMA, copies=2, weight=2.0), epochs=epochs, optimizer=ADAM)(
        model, few
    )
    return model


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean certified radius after learning along noise, and after as many steps on labels alone."""
    data, test = split(seed, 1000)
    rows, few = test.take(slice(0, TEST)), data.take(slice(0, LABELS))
    pretrain: Any = ConsistentRepresentation(least=0.02, most=8.0)
    if mutant == "no-neighbours":  # only almost clean copies, no trajectory
        pretrain = ConsistentRepresentation(least=0.0199, most=0.02)
    if mutant == "learns-nothing":
        pretrain = ConsistentRepresentation(least=79.0, most=80.0)
    taught = float(radii(_tuned(seed, pretrain, data, few), rows, SIGMA).mean())
    alone = float(radii(_tuned(seed, None, data, few), rows, SIGMA).mean())
    return Trial(taught, alone, _formulas() and taught >= alone + 0.02)


CLAIM = Claim(
    paper="rrcm",
    methods=("objective:rrcm",),
    says="With 100 labelled digits, a net that was first taught without labels that neighbouring "
    "noise levels look alike has a mean certified radius larger by 0.02 than one trained on the "
    "labels behind noise for as many steps.",
    left="mean certified L2 radius after learning along noise",
    right="mean certified L2 radius of labels alone",
    trial=trial,
    mutants=("no-neighbours", "learns-nothing"),
    seconds=90,
    quick=False,
    known="does not hold",
    why="a net of one hidden layer on 64 pixels gains nothing from it; the paper trains vision "
    "transformers for 300,000 steps",
)
