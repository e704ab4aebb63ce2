"""Interval bounds: no admissible change leaves them."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.linear.ibp import IBP
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.goal import AtLeast
from holdfast.testing.worlds import Linear, TinyReLU, three_class
from holdfast.threats.norms import LInf


def _apart(world: Linear | TinyReLU, radius: float) -> Tensor:
    """Bug: bounds each logit by itself and subtracts, so that what they share is counted twice."""
    found = []
    for k in range(3):
        ends = []
        for sign in (1, -1):
            level = AtLeast(torch.zeros(len(world.x), dtype=torch.float64), k, sign)
            ends.append(IBP()(world.model, world.x, level, LInf(radius=radius)).margin)
        found.append(torch.stack(ends, 1))
    ups, downs = torch.stack(found, 1).unbind(2)  # above z_k, above -z_k
    below = downs.gather(1, world.y[:, None])
    return ups.scatter(1, world.y[:, None], -torch.inf).amax(1) + below[:, 0]


def trial(seed: int, mutant: str = "") -> Trial:
    """The bound against the exact worst margin of a linear and of an enumerated net."""
    gap, above = 0.0, -torch.inf
    for radius in (0.01, 0.05, 0.1):
        for world in (three_class(seed=seed), TinyReLU.make(seed=seed)):
            asked = radius / 1.5 if mutant == "smaller-box" else radius
            found = IBP()(world.model, world.x, world.goal, LInf(radius=asked), dice=Dice.of(1))
            margin = _apart(world, radius) if mutant == "no-elision" else found.margin
            if isinstance(world, TinyReLU):
                exact = world.worst(radius)
            else:
                exact = world.worst(radius, torch.inf)
                gap = max(gap, float((margin - exact).abs().max()))
            above = max(above, float((exact - margin).max()))
    return Trial(above, gap, above <= 0 and gap < 1e-9)


CLAIM = Claim(
    paper="ibp-bounds",
    methods=("certifier:ibp",),
    says="Interval bounds lie above every worst margin and are attained by an affine network.",
    left="exact worst margin minus the bound, largest over rows (must not be positive)",
    right="distance from the exact worst margin of a linear net (must vanish)",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("smaller-box", "no-elision"),
    seconds=2,
)
