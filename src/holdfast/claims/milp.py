"""Mixed-integer programming: the exact worst margin."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

from holdfast.certify.search.complete import MILP
from holdfast.certify.search.milp import Program
from holdfast.claims.harness import Claim, Trial
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf

_rectified, _variable = Program.rectified, Program.variable


def _short(self: Program, z: dict[int, float], low: float, high: float) -> dict[int, float]:
    """Bug: the constants are smaller than what the neuron reaches."""
    return _rectified(self, z, low * 0.3, high * 0.3)


def _relaxed(self: Program, low: float, high: float, *, whole: bool = False) -> int:
    """Bug: the binaries may take any value between 0 and 1."""
    return _variable(self, low, high)


def trial(seed: int, mutant: str = "") -> Trial:
    """Largest distance of the bound from the exact worst margin, which it may not undercut."""
    method = MILP(slack=1e-4)
    with ExitStack() as stack:
        if mutant == "short-constants":
            stack.enter_context(patch.object(Program, "rectified", _short))
        if mutant == "relaxed":
            stack.enter_context(patch.object(Program, "variable", _relaxed))
        far, sound = 0.0, True
        for k in range(2):
            world = TinyReLU.make(seed=10 * seed + k, rows=4)
            worst = world.worst(0.2)
            found = method(world.model, world.x, world.goal, LInf(radius=0.2)).margin
            sound &= bool((found >= worst).all())
            far = max(far, float((found - worst).max()))
    return Trial(far, 2e-4, sound and far <= 2e-4)


CLAIM = Claim(
    paper="milp",
    methods=("certifier:milp",),
    says="The worst margin of a small network is found, and proved, to within twice the slack.",
    left="largest distance of the proved bound from the worst margin by enumeration",
    right="twice the slack",
    trial=trial,
    mutants=("short-constants", "relaxed"),
    seconds=20,
)
