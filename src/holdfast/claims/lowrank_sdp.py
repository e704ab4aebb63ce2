"""Burer and Monteiro's form finds multipliers as good as those of the whole matrix."""

from __future__ import annotations

from unittest.mock import patch

from torch import Tensor

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.semidefinite import sdp
from holdfast.certify.semidefinite.low_rank import low_rank
from holdfast.certify.semidefinite.problem import Problem
from holdfast.certify.semidefinite.sdp import SDP
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.sdp import RADIUS, _linear
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf


def _one(problem: Problem, rank: int, steps: int) -> list[Tensor]:
    """Bug: vectors of length one, which is the attack and no relaxation."""
    return low_rank(problem, 1, steps)


def _turned(problem: Problem, rank: int, steps: int) -> list[Tensor]:
    """Bug: the multipliers' signs are turned round."""
    return [-m for m in low_rank(problem, rank, steps)]


def trial(seed: int, mutant: str = "") -> Trial:
    """Gaps to the exact worst margin, without any ascent of the dual itself."""
    world = TinyReLU.make(seed=seed, rows=2)
    exact = world.worst(RADIUS)
    solver = {"rank-one": _one, "signs-turned": _turned}.get(mutant, low_rank)
    with patch.object(sdp, "ascend", _linear), patch.object(sdp, "low_rank", solver):
        method = SDP(steps=100, rank=4)
        found = method(world.model, world.x, world.goal, LInf(radius=RADIUS)).margin
    crown = CROWN()(world.model, world.x, world.goal, LInf(radius=RADIUS)).margin
    left, right = float((found - exact).mean()), float((crown - exact).mean())
    return Trial(left, right, bool((found >= exact).all()) and left <= right / 2)


CLAIM = Claim(
    paper="lowrank-sdp",
    methods=("certifier:sdp",),
    says="Multipliers from vectors of four numbers prove bounds less than half as loose as "
    "CROWN's, without any ascent of the dual.",
    left="mean distance of the bound above the exact worst margin",
    right="mean distance of CROWN's bound above it",
    trial=trial,
    seeds=(0, 1, 2),
    mutants=("rank-one", "signs-turned"),
    seconds=30,
)
