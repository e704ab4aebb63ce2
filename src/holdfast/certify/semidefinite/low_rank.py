"""Burer and Monteiro's form of the semidefinite relaxation: a short vector for each value."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.semidefinite.problem import Problem
from holdfast.certify.semidefinite.solve import constraints, descend


def low_rank(problem: Problem, rank: int, steps: int, rounds: int = 12) -> list[Tensor]:
    """Multipliers, round by round, of a local minimum over matrices `U U^T` of some rank.

    The value of each unit becomes a vector whose first coordinate is the value; the row of the
    constant stays the first unit vector. An augmented Lagrangian is minimised by a quasi-Newton
    method and the multipliers move by the violations. At rank 1 this is the network itself; a
    local minimum of a rank that is not used up is the minimum of the relaxation, whose dual
    solution these multipliers then are. Nothing depends on that: any multipliers give a bound.

    Args:
        problem: what is bounded.
        rank: length of the vectors.
        steps: of the quasi-Newton method in each round.
        rounds: updates of the multipliers.
    """
    objective, forms = constraints(problem)
    sign = problem.signed()
    used = ~sign.isnan()
    least = sign[used] > 0
    flat = forms[used].flatten(1)
    size = flat.norm(dim=1).clamp(min=1e-9)  # violations of all constraints on one scale
    flat = flat / size[:, None]
    scale = objective.norm().clamp(min=1e-9)
    target = objective / scale
    n = len(objective)
    g = torch.Generator().manual_seed(0)
    start = 0.3 * torch.randn(n - 1, rank, generator=g, dtype=torch.float64)
    top = torch.zeros(1, rank, dtype=torch.float64)
    top[0, 0] = 1
    multipliers, weight = torch.zeros(len(flat), dtype=torch.float64), 10.0
    before, kept = torch.inf, []

    def violations(u: Tensor) -> Tensor:
        found: Tensor = flat @ (u @ u.T).flatten()
        return found

    def value(at: Tensor) -> tuple[Tensor, Tensor]:
        u = torch.cat([top, at.reshape(n - 1, rank)])
        c = violations(u)
        pushed = multipliers + weight * c
        pushed = torch.where(least, pushed.clamp(min=0), pushed)
        total = (target * (u @ u.T)).sum() + (pushed.square() - multipliers.square()).sum() / (
            2 * weight
        )
        slope = 2 * (target + (pushed @ flat).reshape(n, n)) @ u
        return total, slope[1:].flatten()

    for _ in range(rounds):
        start = descend(value, start.flatten(), steps).reshape(n - 1, rank)
        c = violations(torch.cat([top, start]))
        moved = multipliers + weight * c
        multipliers = torch.where(least, moved.clamp(min=0), moved)
        wrong = float(torch.where(least, c.clamp(min=0), c).norm())
        # Beyond this weight the minimum is lost in rounding and multipliers drift apart.
        weight = min(weight * 2, 300.0) if wrong > before / 4 else weight
        before = wrong
        result = torch.zeros(len(sign), dtype=torch.float64)
        result[used] = multipliers * scale / size
        kept.append(result)
    return kept
