"""Corruptions that follow depth cost accuracy, and training with one of them wins it back."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.pasted import scenes, trained
from holdfast.claims.small_net import error
from holdfast.core.catalog import find
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice

SHIFTS = ("fog-3d", "near-focus", "far-focus", "xy-motion-blur-3d", "z-motion-blur-3d",
          "view-change", "flash", "shadow", "multi-illumination", "iso-noise", "low-light",
          "color-quant")  # fmt: skip
TRAIN, TEST, NEAR = slice(0, 450), slice(450, 650), 0.3
DENSITY = 0.3  # severity of the fog that is trained for: at 1 nothing is left to see


def _scene(seed: int, rows: slice, flat: bool = False) -> Batches:
    """Objects at a third of the depth of their ground, or all at one depth."""
    data = scenes(seed, rows, 0.0)
    depth = 1 - (1 - NEAR) * (data.more["mask"] > 0.3).float() * (not flat)
    return replace(data, more={"depth": depth})


def _misty(batch: Batch, dice: Dice) -> Batch:
    amount = float(torch.rand((), generator=dice.generator("amount")))
    changed: Batch = find("shift:fog-3d").thing(batch, amount / 4, dice)
    return changed


@cache
def _model(seed: int, fog: bool, flat: bool) -> nn.Sequential:
    data = _scene(seed, TRAIN, flat)
    return trained(seed, replace(data, augment=_misty) if fog else data, epochs=32 if fog else 16)


def _error(model: nn.Module, data: Batches, name: str, severity: float, seed: int) -> float:
    out = find(f"shift:{name}").thing(data.whole, severity, Dice(seed, data.index))
    x: Tensor = out.x
    return error(model, x, out.y)


def trial(seed: int, mutant: str = "") -> Trial:
    """Errors by kind and level, and in fog after training with and without it."""
    flat = mutant == "forgets-depth"
    data, plain = _scene(seed, TEST, flat), _model(seed, False, False)
    levels = (1.0, 0.2) if mutant == "upside-down" else (0.2, 1.0)
    mild, strong = ([_error(plain, data, n, s, seed) for n in SHIFTS] for s in levels)
    grown = sum(b > a for a, b in zip(mild, strong, strict=True))
    hard = _error(plain, data, "fog-3d", DENSITY, seed)
    won = _error(_model(seed, True, flat), data, "fog-3d", DENSITY, seed)
    costs = grown >= 7 and sum(strong) > sum(mild)
    return Trial(won, hard, won < 0.6 * hard and costs)


CLAIM = Claim(
    paper="3dcc",
    methods=tuple(f"shift:{name}" for name in SHIFTS),
    says="At least 7 of 12 corruptions cost more at level 5 than at level 1, and training in fog "
    "that thickens with distance takes 40 % or more off the error in it.",
    left="error in fog after training with fog (share)",
    right="the same after plain training",
    trial=trial,
    mutants=("forgets-depth", "upside-down"),
    seconds=5,
)
