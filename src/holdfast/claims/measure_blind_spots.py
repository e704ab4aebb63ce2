"""Half of the way to another digit can be gone without losing confidence."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.hardened_net import hardened
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.kinds import Model
from holdfast.measures.model import blind_spots as file
from holdfast.measures.model import level_set
from holdfast.measures.model.blind_spots import BlindSpots, blind_spots
from holdfast.measures.model.level_set import Walk, confidence, traverse

ROWS, DROP = 50, 0.05


def _straight(seed: int) -> Walk:
    """The baseline: the straight way, under the same rule."""

    def flat(model: Model, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            return confidence(model, x, label), torch.zeros_like(x), x.new_zeros(len(x))

    with patch.object(level_set, "_looked", flat):
        found = blind_spots(hardened(seed, 0.0), digits(seed)[1], rows=ROWS, drop=DROP, seed=seed)
    return found.walks[0]


@cache
def seen(seed: int, radius: float, mutant: str) -> BlindSpots:
    """Walks on a net, plain or hardened."""
    _, test = digits(seed)
    looked = level_set._looked

    def blind(model: Model, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        chance, slope, factor = looked(model, x, label)
        return chance, torch.zeros_like(slope), factor

    def unguarded(*args: Tensor, **settings: float) -> Walk:
        return traverse(*args, **{**settings, "drop": 2.0})  # type: ignore[arg-type]

    walk = unguarded if mutant == "accepts-every-step" else traverse
    look = blind if mutant == "straight-on" else looked
    with patch.object(file, "traverse", walk), patch.object(level_set, "_looked", look):
        return blind_spots(hardened(seed, radius), test, rows=ROWS, drop=DROP, seed=seed)


def trial(seed: int, mutant: str = "") -> Trial:
    """Way that is left, against the straight way under the same rule."""
    walks, straight = seen(seed, 0.0, mutant).walks, _straight(seed)
    good = float(straight.left.median()) > float(walks[0].left.median())
    for walk in walks:
        moved = walk.trace[-1] != walk.trace[0]
        good &= bool((walk.start - walk.confidence)[moved].max() < DROP + 1e-9)
    left = float(walks[0].left.median())
    return Trial(left, 0.5, left <= 0.5 and good)


CLAIM = Claim(
    paper="measure:blind-spots",
    methods=("measure:blind-spots",),
    says="Walks that never lose more than 0.05 of their confidence leave at most half of the way "
    "to another digit in the median, and less than straight ways under the same rule.",
    left="median of the way left",
    right="0.5",
    trial=trial,
    seeds=(71, 72, 73),
    mutants=("straight-on", "accepts-every-step"),
    seconds=12,
)
