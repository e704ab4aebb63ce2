"""Sequential linear programming: the last steps to where several inequalities hold at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from holdfast.ops.interval import Box

WIDE, LEAST = 0.1, 1e-6  # first and last half width of a step, as a share of the box's
Values = Callable[[Tensor], Tensor]


class Plan(NamedTuple):
    """Where one input stands and how far its next step may go.

    Args:
        values: `(m,)` of the inequalities.
        slopes: `(m, n)`.
        reach: half width of the step, as a share of the box's.
    """

    values: Tensor
    slopes: Tensor
    reach: float


def polish(values: Values, x: Tensor, box: Box, steps: int, deadline: float = inf) -> Tensor:
    """Lower the largest of several functions from each of a few inputs.

    Each step solves a linear program: the largest of the linearised functions is lowered as far as
    it goes within a part of the box around the input. The part doubles where the step lowered the
    largest function in truth, and shrinks to a quarter where it did not. Of piecewise linear
    functions a step is exact within their pieces, so that corners, at which the slopes of single
    functions disagree and a descent goes to and fro, are no obstacle.

    Args:
        values: inputs `(B, ...)` -> `(B, m)`, rows independent of each other.
        x: `(B, ...)` where to start.
        box: of one row.
        steps: at most, of each.
        deadline: of `time.monotonic()`, after which no further step is taken.

    Returns:
        `(B, ...)`: the best input on the way from each; one whose values are all <= 0 stays.

    Cost: `m` forward and backward passes and a linear program of `n + 1` variables per step.
    """
    x = torch.clamp(x, box.low, box.high)
    plans = _linearised(values, x, [WIDE] * len(x))
    for _ in range(steps):
        open_ = [
            i for i, plan in enumerate(plans)
            if 0 < float(plan.values.max()) < inf and plan.reach > LEAST
        ]  # fmt: skip
        if not open_ or time.monotonic() > deadline:
            break
        tried = torch.stack([_step(plans[i], x[i], box) for i in open_])
        for i, new, plan in zip(
            open_, tried, _linearised(values, tried, [plans[i].reach for i in open_]), strict=True
        ):
            if float(plan.values.max()) < float(plans[i].values.max()):
                x[i], plans[i] = new, plan._replace(reach=min(1.0, 2 * plan.reach))
            else:
                plans[i] = plans[i]._replace(reach=plans[i].reach / 4)
    return x


def _linearised(values: Values, x: Tensor, reach: list[float]) -> list[Plan]:
    """Values and slopes at inputs, all from one backward pass of `B m` rows."""
    with torch.no_grad():
        many = values(x[:1]).shape[1]
    rows = x.detach().repeat_interleave(many, 0).requires_grad_(True)
    with torch.enable_grad():
        found = values(rows).reshape(len(x), many, many).diagonal(dim1=1, dim2=2)
        (slopes,) = torch.autograd.grad(found.sum(), rows)
    slopes = slopes.double().reshape(len(x), many, -1)
    return [Plan(*plan) for plan in zip(found.detach().double(), slopes, reach, strict=True)]


def _step(plan: Plan, x: Tensor, box: Box) -> Tensor:
    """Where the linear program goes; the input itself where it has no answer."""
    from scipy.optimize import linprog

    low, high = (end.flatten().double() for end in (box.low, box.high))
    at, half = x.flatten().double(), (high - low) / 2
    least = torch.maximum(low - at, -plan.reach * half).clamp(max=0)
    most = torch.minimum(high - at, plan.reach * half).clamp(min=0)
    rows = np.hstack([plan.slopes.numpy(), -np.ones((len(plan.values), 1))])
    if not np.isfinite(rows).all():
        return x
    found = linprog(
        np.append(np.zeros(len(at)), 1.0), A_ub=rows, b_ub=-plan.values.numpy(), method="highs",
        bounds=[*zip(least.tolist(), most.tolist(), strict=True), (None, None)],
    )  # fmt: skip
    if found.status != 0:
        return x
    moved = at + torch.from_numpy(found.x[:-1])
    return torch.clamp(moved.to(x.dtype).reshape(x.shape), box.low, box.high)
