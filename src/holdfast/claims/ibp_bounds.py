"""Interval bounds: no admissible change leaves them."""

from __future__ import annotations

import torch

from holdfast.certify.ibp import IBP
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.testing.worlds import TinyReLU, three_class
from holdfast.threats.norms import LInf


def trial(seed: int, mutant: str = "") -> Trial:
    """The bound against the exact worst margin of a linear and of an enumerated net."""
    radius, gap, above = 0.05, 0.0, 0.0
    for world in (three_class(seed=seed), TinyReLU.make(seed=seed)):
        asked = radius / 1.5 if mutant == "smaller-box" else radius
        found = IBP()(world.model, world.x, world.goal, LInf(radius=asked), dice=Dice.of(1))
        margin = found.margin
        if mutant == "no-elision":
            logits = world.model(world.x).detach()
            margin = margin + logits.abs().amax(1) * radius
        if isinstance(world, TinyReLU):
            above = max(above, float((world.worst(radius) - margin).max()))
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
    mutants=("smaller-box", "no-elision"),
    seconds=2,
)
