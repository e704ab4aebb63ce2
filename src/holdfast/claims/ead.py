"""Soft thresholds find a smaller sum of changes than the Euclidean attack."""

from __future__ import annotations

from functools import cache

import torch

from holdfast.attacks.cw import CW
from holdfast.attacks.ead import EAD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.shortest import lengths, scene
from holdfast.core.catalog import with_settings
from holdfast.threats.norms import L1, L2

ROWS = 16


@cache
def euclidean(seed: int) -> tuple[float, float]:
    """Mean sum of the changes of CW, and the share of rows that it won."""
    model, x, goal = scene(seed, ROWS)
    change = with_settings(CW(steps=200, rate=0.05), smallest=True)(model, x, goal, L2(radius=1.0))
    with torch.no_grad():
        won = goal(model(x + change)) >= 0
    return float(change.abs().sum(1)[won].mean()), float(won.double().mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean sums of changes with nine prices, CW with 200 steps each, EAD with 100."""
    attack = {
        "": EAD(steps=100), "draws-nothing-back": EAD(steps=100, weight=0.0),
        "draws-back-by-the-step": EAD(steps=100, weight=1e-5),
    }[mutant]  # fmt: skip
    mine, won = lengths(attack, *scene(seed, ROWS), L1(radius=2.0))
    left, (right, also) = float(mine[mine.isfinite()].mean()), euclidean(seed)
    return Trial(left, right, left <= 0.9 * right and min(won, also) >= 0.95)


CLAIM = Claim(
    paper="ead",
    methods=("attack:ead", "attack:cw"),
    says="the sum of its changes of digits is on average at least a tenth smaller than that of "
    "the Euclidean attack, both winning at least 95 %",
    left="mean sum of changes of EAD",
    right="mean sum of changes of CW",
    trial=trial,
    seeds=(301, 302, 303),
    mutants=("draws-nothing-back", "draws-back-by-the-step"),
    seconds=30,
    quick=False,
)
