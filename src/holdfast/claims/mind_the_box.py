"""Ball and box of the L1 threat belong together: projecting and stepping for both loses nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.ops.geometry import project_l1
from holdfast.ops.steepest import step_l1
from holdfast.threats.norms import L1

ROWS, SIZE, RADIUS = 16, 24, 4.0


class _InTurn(L1):
    """Projects onto the ball and clips afterwards."""

    def _nearest(self, change: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
        far = torch.full_like(change, 1e6)
        return project_l1(change, radius, -far, far).maximum(down).minimum(up)


class _Blind(L1):
    """Steps as if every coordinate had room."""

    def _steepest(self, gradient: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
        far = torch.full_like(gradient, 1e6)
        return step_l1(gradient, radius, -far, far)


MUTANTS = {"": L1, "projects-in-turn": _InTurn, "ignores-the-box-in-steps": _Blind}


def _optimum(x: Tensor, gradient: Tensor) -> Tensor:
    """`(B,)`: the linear programme, solved by an independent solver."""
    from scipy.optimize import linprog

    best = []
    for row, g in zip(x, gradient, strict=True):
        bounds = [(0.0, float(1 - v)) for v in row] + [(0.0, float(v)) for v in row]
        cost = torch.cat([-g, g]).numpy()
        found = linprog(cost, A_ub=torch.ones(1, 2 * SIZE).numpy(), b_ub=[RADIUS], bounds=bounds)
        best.append(-found.fun)
    return torch.tensor(best, dtype=torch.float64)


def trial(seed: int, mutant: str = "") -> Trial:
    """Linear functions of inputs that are mostly close to the ends of [0, 1]."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(ROWS, SIZE, generator=g, dtype=torch.float64)
    x = (4 * (x - 0.5) + 0.5).clamp(0, 1)
    gradient = torch.randn(ROWS, SIZE, generator=g, dtype=torch.float64)
    threat = MUTANTS[mutant](radius=RADIUS)
    none = threat.none(x)
    one = threat.project(x, threat.steepest(x, none, gradient))
    many = none
    for _ in range(400):
        many = threat.project(x, many + 2 * gradient)
    gains = torch.stack([(gradient * change).sum(1) for change in (one, many)])
    share = (gains / _optimum(x, gradient)).amin()
    return Trial(float(share), 1 - 1e-6, bool(share >= 1 - 1e-6))


CLAIM = Claim(
    paper="mind-the-box",
    methods=("threat:l1",),
    says="One steepest step, and projected ascent, reach the optimum over L1 ball and box.",
    left="least gain on a linear function, as a share of the linear programme's optimum",
    right="1 up to rounding",
    trial=trial,
    mutants=("projects-in-turn", "ignores-the-box-in-steps"),
    seconds=5,
)
