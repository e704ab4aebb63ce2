"""Ball and box of the L1 threat belong together: projecting and stepping for both loses nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.threats.norms import L1

ROWS, SIZE, RADIUS = 16, 24, 4.0


def _alone(threat: L1) -> L1:
    """The same ball without a box that matters."""
    return L1(radius=threat.radius, low=-1e6, high=1e6)


class _InTurn(L1):
    """Projects onto the ball and clips afterwards."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return (x + _alone(self).project(x, change)).clamp(0, 1) - x


class _Boxless(L1):
    """Projects onto the ball alone."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return _alone(self).project(x, change)


class _Blind(L1):
    """Steps as if every coordinate had room."""

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return _alone(self).steepest(x, change, gradient)


MUTANTS = {
    "": L1, "projects-in-turn": _InTurn, "forgets-the-box": _Boxless,
    "ignores-the-box-in-steps": _Blind,
}  # fmt: skip


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
    shares = gains / _optimum(x, gradient)
    inside = all(bool((L1(radius=RADIUS).size(x, c) <= 1 + 1e-9).all()) for c in (one, many))
    share = float(shares.amin())
    return Trial(share, 1 - 1e-6, inside and share >= 1 - 1e-6 and bool((shares <= 1 + 1e-6).all()))


CLAIM = Claim(
    paper="mind-the-box",
    methods=("threat:l1",),
    says="One steepest step, and projected ascent, stay inside the L1 ball and the box and "
    "reach the optimum over both.",
    left="least gain on a linear function, as a share of the linear programme's optimum",
    right="1 up to rounding",
    trial=trial,
    seeds=(201, 202, 203),
    mutants=("projects-in-turn", "forgets-the-box", "ignores-the-box-in-steps"),
    seconds=5,
)
