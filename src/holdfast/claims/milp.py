"""Mixed-integer programming: the exact worst margin."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from itertools import product
from unittest.mock import patch

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from holdfast.certify.search.complete import MILP
from holdfast.certify.search.milp import Program
from holdfast.claims.deep_nets import deep_net
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Untargeted
from holdfast.threats.norms import LInf

NETS, HIDDEN, RADIUS = 10, 4, 0.3
TOLERANCE = 1e-6
_rectified, _variable = Program.rectified, Program.variable


def _short(self: Program, z: dict[int, float], low: float, high: float) -> dict[int, float]:
    """Bug: the constants are smaller than what the neuron reaches."""
    return _rectified(self, z, low * 0.3, high * 0.3)


def _relaxed(self: Program, low: float, high: float, *, whole: bool = False) -> int:
    """Bug: the binaries may take any value between 0 and 1."""
    return _variable(self, low, high)


def _net(seed: int) -> tuple[nn.Sequential, Tensor, int]:
    """A random network of two hidden layers, an input and the class it is given."""
    g = torch.Generator().manual_seed(seed)
    model = deep_net(g, HIDDEN)
    x = 0.3 + 0.4 * torch.rand(1, 2, generator=g, dtype=torch.float64)
    with torch.no_grad():
        return model, x, int(model(x).argmax())


@cache
def _enumerated(seed: int) -> float:
    """The worst margin: the best linear program of all patterns of activation."""
    model, x, y = _net(seed)
    first, second, last = (
        (layer.weight.detach().numpy(), layer.bias.detach().numpy())
        for layer in model if isinstance(layer, nn.Linear)
    )  # fmt: skip
    centre = x[0].numpy()
    ends = [(max(0.0, c - RADIUS), min(1.0, c + RADIUS)) for c in centre]
    patterns = [np.array(p) for p in product((0.0, 1.0), repeat=HIDDEN)]
    best = -np.inf
    for one in patterns:
        a, b = first
        rows, limits = (1 - 2 * one)[:, None] * a, (2 * one - 1) * b
        if linprog(np.zeros(2), rows, limits, bounds=ends).status == 2:
            continue  # no input has these signs in the first layer
        a, b = second[0] @ (one[:, None] * a), second[0] @ (one * b) + second[1]
        for two in patterns:
            every = np.vstack([rows, (1 - 2 * two)[:, None] * a])
            right = np.concatenate([limits, (2 * two - 1) * b])
            c = last[0] @ (two[:, None] * a)
            offset = last[0] @ (two * b) + last[1]
            found = linprog(c[y] - c[1 - y], every, right, bounds=ends)
            if found.status == 0:
                best = max(best, offset[1 - y] - offset[y] - found.fun)
    return float(best)


def trial(seed: int, mutant: str = "") -> Trial:
    """Largest distance of the proved bound from the worst margin, which it may not undercut."""
    method = MILP(slack=TOLERANCE / 2)
    with ExitStack() as stack:
        if mutant == "short-constants":
            stack.enter_context(patch.object(Program, "rectified", _short))
        if mutant == "relaxed":
            stack.enter_context(patch.object(Program, "variable", _relaxed))
        far = 0.0
        for k in range(NETS):
            model, x, y = _net(NETS * seed + k)
            found = method(model, x, Untargeted(torch.tensor([y])), LInf(radius=RADIUS)).margin
            far = max(far, abs(float(found) - _enumerated(NETS * seed + k)))
    return Trial(far, TOLERANCE, far <= TOLERANCE)


CLAIM = Claim(
    paper="milp",
    methods=("certifier:milp",),
    says="The worst margin of 50 networks 2-4-4-2 is found, and proved, to 1e-6.",
    left="largest distance from the best linear program over all patterns of activation",
    right="tolerance",
    trial=trial,
    mutants=("short-constants", "relaxed"),
    seconds=60,
    seeds=(0, 1, 2, 3, 4),
    quick=False,
)
