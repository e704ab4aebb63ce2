"""Over turns and shifts a grid finds what gradient ascent misses, and exactly what loops find."""

from __future__ import annotations

from itertools import product
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.attacks import grid
from holdfast.attacks.grid import Grid
from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Threat
from holdfast.run.search import search
from holdfast.threats.affine import Rotation, Translation
from holdfast.threats.product import Product

SAMPLES = 5


def _inner(x: Tensor, threat: Threat, none: Tensor) -> tuple[Tensor, Tensor]:
    """Bug: the grid spans half of what the threat admits."""
    return torch.full_like(none, -0.5), torch.full_like(none, 0.5)


def _first(samples: int, count: int) -> list[tuple[float, ...]]:
    """Bug: all parameters take the same value."""
    return [(i / (samples - 1),) * count for i in range(samples)]


def _loops(model: torch.nn.Module, x: Tensor, goal: Untargeted, threat: Threat) -> Tensor:
    """`(B,)`: the largest margin over the grid, point by point."""
    best = torch.full((len(x),), -torch.inf)
    ticks = torch.linspace(-1, 1, SAMPLES).tolist()
    for point in product(ticks, repeat=3):
        with torch.no_grad():
            outputs = threat.through(model, x, torch.tensor(point).expand(len(x), -1))
        best = torch.maximum(best, goal(outputs))
    return best


def trial(seed: int, mutant: str = "") -> Trial:
    """150 digits turned by up to 15 degrees and shifted by up to half a pixel."""
    model, rows = trained(seed), digits(seed)[1].take(slice(0, 150)).whole
    x: Tensor = rows.x  # type: ignore[assignment]
    goal = Untargeted(rows.y)
    threat = Product(parts=(Rotation(degrees=15.0), Translation(share=1 / 16)))
    names = {"half-the-range": ("_ends", _inner), "one-value-for-all": ("_points", _first)}
    name, bug = names.get(mutant, ("_ends", grid._ends))
    with patch.object(grid, name, bug):
        found = search(Grid(samples=SAMPLES), model, x, goal, threat)
    truth = _loops(model, x, goal, threat)
    right_rows = bool((found.broken == (truth >= 0)).all())
    gap = (found.margin - truth).abs()[~found.broken]
    exact = float(gap.max()) <= 1e-4 if len(gap) else True
    climbed = search(PGD(steps=40, climb="margin"), model, x, goal, threat)
    left, right = (float(f.broken.double().mean()) for f in (found, climbed))
    return Trial(left, right, right_rows and exact and left > right)


CLAIM = Claim(
    paper="attack:grid",
    methods=("attack:grid",),
    says="It decides every row as loops over the 125 points do, and breaks more rows than forty "
    "steps of gradient ascent.",
    left="share of rows broken by the grid",
    right="share broken by forty steps of ascent from one start",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("half-the-range", "one-value-for-all"),
    seconds=5,
)
