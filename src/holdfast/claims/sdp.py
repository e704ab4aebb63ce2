"""The semidefinite relaxation: sound from any multipliers, and much tighter than linear bounds."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.semidefinite import sdp
from holdfast.certify.semidefinite import solve as sdp_solve
from holdfast.certify.semidefinite.problem import Problem
from holdfast.certify.semidefinite.sdp import SDP
from holdfast.claims.harness import Claim, Trial
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf

HONEST, ASCEND, RADIUS = Problem.bound, sdp_solve.ascend, 0.15


def _no_repair(self: Problem, flat: Tensor) -> float:
    """Bug: reports the corner of the form, as if it had no negative eigenvalue."""
    return float(self.matrix(flat)[0, 0])


def _any_sign(self: Problem) -> Tensor:
    """Bug: multipliers of inequalities may have either sign."""
    return torch.zeros(sum(self.sizes()), dtype=torch.float64)


def _linear(problem: Problem, start: Tensor, steps: int) -> list[Tensor]:
    """Bug: forgets the quadratic constraints, so that the linear bound stays."""
    return [start]


def gaps(seed: int, mutant: str, rank: int) -> Trial:
    """Mean gaps to the exact worst margin, which no bound may undercut."""
    world = TinyReLU.make(seed=seed, rows=4)
    exact = world.worst(RADIUS)
    bound = _no_repair if mutant == "no-repair" else HONEST
    signed = _any_sign if mutant == "signs-forgotten" else Problem.signed
    ascend = _linear if mutant == "linear-only" else ASCEND
    with (
        patch.object(Problem, "bound", bound), patch.object(Problem, "signed", signed),
        patch.object(sdp, "ascend", ascend),
    ):  # fmt: skip
        method = SDP(steps=40, rank=rank)
        found = method(world.model, world.x, world.goal, LInf(radius=RADIUS)).margin
    crown = CROWN()(world.model, world.x, world.goal, LInf(radius=RADIUS)).margin
    left, right = float((found - exact).mean()), float((crown - exact).mean())
    return Trial(left, right, bool((found >= exact).all()) and left <= right / 2)


def trial(seed: int, mutant: str = "") -> Trial:
    """The dual alone."""
    return gaps(seed, mutant, 0)


CLAIM = Claim(
    paper="sdp",
    methods=("certifier:sdp",),
    says="The semidefinite bound is sound and less than half as loose as CROWN's.",
    left="mean distance of the semidefinite bound above the exact worst margin",
    right="mean distance of CROWN's bound above it",
    trial=trial,
    seeds=(0, 1, 2),
    mutants=("no-repair", "signs-forgotten", "linear-only"),
    seconds=20,
)
