"""Projecting onto a ball cut by the box of valid inputs finds the nearest admissible change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.ops.batch import fit
from holdfast.ops.geometry import norm
from holdfast.threats.ball import Ball
from holdfast.threats.norms import L1, L2, LInf

ROWS, SIZE = 5, 5
RADII = {"linf": 0.3, "l2": 0.6, "l1": 1.2}


def _scaled(change: Tensor, radius: float, order: float) -> Tensor:
    """Changes shrunk onto the ball where they lie outside."""
    scale = (radius / norm(change, order)).clamp(max=1)
    return change * fit(scale, change)


def _clipped(x: Tensor, change: Tensor) -> Tensor:
    """Changes cut so that inputs stay in [0, 1]."""
    return (x + change).clamp(0, 1) - x


class _Clips(L2):
    """Bug: scales onto the ball and clips afterwards, which is admissible but not nearest."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return _clipped(x, _scaled(change, self.radius, 2))


class _Scales(LInf):
    """Bug: shrinks the whole change until its largest coordinate fits."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return _clipped(x, _scaled(change, self.radius, torch.inf))


class _InTurn(L1):
    """Bug: projects onto the ball alone and clips afterwards."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        alone = L1(radius=self.radius, low=-1e6, high=1e6)
        return _clipped(x, alone.project(x, change))


class _Boxless(L2):
    """Bug: forgets the box."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return _scaled(change, self.radius, 2)


MUTANTS: dict[str, type[Ball]] = {
    "l2-scales-and-clips": _Clips, "linf-scales": _Scales, "l1-in-turn": _InTurn,
    "forgets-the-box": _Boxless,
}  # fmt: skip


def _nearest(wanted: np.ndarray, x: np.ndarray, kind: type[Ball], radius: float) -> float:
    """Least distance to an admissible change, by sequential quadratic programming.

    A change is written as what is added minus what is taken away, so that all three norms are
    smooth: the maximum is in the bounds, the sum is linear.
    """
    from scipy.optimize import minimize

    most = radius if kind is LInf else 1.0
    ends = [(0.0, min(most, 1 - v)) for v in x] + [(0.0, min(most, v)) for v in x]

    def apart(d: np.ndarray) -> np.ndarray:
        off: np.ndarray = d[:SIZE] - d[SIZE:] - wanted
        return off

    left: dict[type[Ball], Callable[[np.ndarray], float]] = {
        L1: lambda d: radius - d.sum(),
        L2: lambda d: radius**2 - np.square(d[:SIZE] - d[SIZE:]).sum(),
    }
    found = minimize(
        lambda d: float(np.square(apart(d)).sum()), np.zeros(2 * SIZE), method="SLSQP",
        jac=lambda d: np.concatenate([2 * apart(d), -2 * apart(d)]), bounds=ends,
        constraints=[{"type": "ineq", "fun": left[kind]}] if kind in left else [],
        options={"maxiter": 300, "ftol": 1e-14},
    )  # fmt: skip
    return float(np.linalg.norm(apart(found.x)))


def trial(seed: int, mutant: str = "") -> Trial:
    """Changes far outside, at inputs many of which lie at the ends of [0, 1]."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(ROWS, SIZE, generator=g, dtype=torch.float64)
    x = (2 * (x - 0.5) + 0.5).clamp(0, 1)
    wanted = torch.randn(ROWS, SIZE, generator=g, dtype=torch.float64)
    excess, size = 0.0, 0.0
    for truth in (LInf, L2, L1):
        bug = MUTANTS.get(mutant, truth)
        kind = bug if issubclass(bug, truth) else truth
        radius = RADII[truth.name]
        found = kind(radius=radius).project(x, wanted)
        size = max(size, float(truth(radius=radius).size(x, found).max()))
        own = (found - wanted).norm(dim=1)
        least = [
            _nearest(w.numpy(), v.numpy(), truth, radius) for w, v in zip(wanted, x, strict=True)
        ]
        excess = max(excess, float((own - torch.tensor(least)).max()))
    return Trial(excess, 1e-6, excess <= 1e-6 and size <= 1 + 1e-9)


CLAIM = Claim(
    paper="threat:l2",
    methods=("threat:l2", "threat:linf", "threat:l1"),
    says="No admissible change that a general solver finds is nearer than the projection.",
    left="largest distance by which the projection is farther off than the solver's point",
    right="1e-6, what the solver leaves open",
    trial=trial,
    seeds=(201, 202, 203),
    mutants=tuple(MUTANTS),
    seconds=3,
)
