"""Good multipliers of the quadratic problem: from linear bounds first, then by ascent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from holdfast.certify.semidefinite.problem import Problem

Value = Callable[[Tensor], tuple[Tensor, Tensor]]


def linear_start(problem: Problem) -> Tensor:
    """Multipliers whose bound is that of backward linear bounds with lines of least area.

    Only linear constraints are used; the box multipliers then take half of each coefficient
    that is left on the inputs, which makes the form tight.
    """
    first, units = problem.inputs, len(problem.bias)
    g = problem.q.clone()
    zero, over, chord = (torch.zeros(units, dtype=g.dtype) for _ in range(3))
    slope, _ = problem.chord()
    lower = (problem.above > -problem.below).to(g)
    for i in range(units - 1, -1, -1):
        coefficient = float(g[first + i])
        if problem.on[i]:
            over[i] = coefficient
        elif problem.crossing[i] and coefficient >= 0:
            over[i], zero[i] = coefficient * lower[i], coefficient * (1 - lower[i])
        elif problem.crossing[i]:
            chord[i] = -coefficient
        pull = over[i] - slope[i] * chord[i]
        g = g + pull * problem.weight[i]
    inside = g[:first] * problem.half[:first]
    box = torch.cat([inside.abs() / 2, torch.zeros(units, dtype=g.dtype)])
    ball = torch.zeros(1, dtype=g.dtype)
    if problem.centre is not None and problem.radius > 0:
        ball = (g[:first].norm() / (2 * problem.radius)).reshape(1)
        box = torch.zeros_like(box)
    return torch.cat([zero, over, torch.zeros_like(zero), chord, box, ball])


def constraints(problem: Problem) -> tuple[Tensor, Tensor]:
    """The objective `(n + 1, n + 1)` and each multiplier's form `(M, n + 1, n + 1)`.

    The Lagrangian is affine in the multipliers, so that both can be read off it.
    """
    none = torch.zeros(sum(problem.sizes()), dtype=torch.float64)
    objective = problem.matrix(none)
    units = torch.eye(len(none), dtype=torch.float64)
    return objective, torch.stack([problem.matrix(unit) - objective for unit in units])


def ascend(problem: Problem, start: Tensor, steps: int) -> list[Tensor]:
    """Better multipliers after each stage of a quasi-Newton ascent of the bound.

    The least eigenvalue is replaced by a soft minimum, which lies below it and becomes sharper
    in three stages. Nothing depends on how far this comes: any multipliers give a bound.

    Args:
        problem: what is bounded.
        start: multipliers.
        steps: of each stage.
    """
    sign = problem.signed()
    used = ~sign.isnan()
    used[-1 - len(problem.q) : -1] &= problem.half > 0
    least = sign[used] > 0
    objective, forms = constraints(problem)
    flat, n = forms[used].flatten(1), len(objective)
    given = start[used]
    first = objective.flatten() + given @ flat
    size = float(first[:: n + 1].abs().max()) + 1e-12
    # What must not be negative is written as a square, and starts a little above zero.
    point = torch.where(least, (given.clamp(min=0) + 1e-3 * size).sqrt(), given)
    point = torch.cat([first[:1], point])

    def multipliers(at: Tensor) -> Tensor:
        return torch.where(least, at[1:].square(), at[1:])

    def value(at: Tensor, sharp: float) -> tuple[Tensor, Tensor]:
        form = (objective.flatten() + multipliers(at) @ flat).reshape(n, n)
        form[0, 0] -= at[0]
        eigen, vectors = torch.linalg.eigh(form)
        soft = (-sharp * eigen).logsumexp(0)  # -sharp times the soft minimum
        lost = torch.logaddexp(soft, torch.zeros_like(soft)) / sharp
        weights = (-sharp * eigen).softmax(0) * soft.sigmoid() * n
        turn = (vectors * weights) @ vectors.T
        slope = flat @ turn.flatten()
        slope = torch.where(least, 2 * at[1:] * slope, slope)
        return n * lost - at[0], -torch.cat([1 - turn[:1, 0], slope])

    stages = []
    for sharp in (30.0, 300.0, 3000.0):
        point = descend(partial(value, sharp=sharp / size), point, steps)
        better = torch.zeros_like(start)
        better[used] = multipliers(point)
        stages.append(better)
    return stages


def descend(value: Value, start: Tensor, steps: int) -> Tensor:
    """A local minimum by a quasi-Newton method; the same start gives the same bits.

    Args:
        value: a number and its slope at a point.
        start: the point to start from.
        steps: most updates.
    """
    point = start.clone().requires_grad_()
    method = torch.optim.LBFGS(
        [point], max_iter=steps, history_size=20, tolerance_grad=1e-10, tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        with torch.no_grad():
            found, slope = value(point.detach())
        point.grad = slope
        return found

    method.step(closure)
    return point.detach()
