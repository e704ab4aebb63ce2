"""Projections onto simplices, alone and with a budget for the mass that is moved."""

from __future__ import annotations

import torch
from torch import Tensor

_HALVINGS = 40


def onto_simplex(z: Tensor, mass: Tensor) -> Tensor:
    """The nearest point with nonnegative entries and a given sum, along the last axis.

    `max(z - tau, 0)` with the tau that gives the sum, found by sorting; exact.

    Args:
        z: `(..., T)`; entries of -inf become 0.
        mass: `(...)`: the sums, positive wherever a row has no finite entry left to spare.
    """
    top = z.sort(-1, descending=True).values
    count = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
    tau = (top.nan_to_num(neginf=-1e12).cumsum(-1) - mass[..., None]) / count
    used = ((top > tau) & (top > -torch.inf)).sum(-1, keepdim=True).clamp(min=1)
    return (z - tau.gather(-1, used - 1)).clamp(min=0)


def onto_budget(z: Tensor, mass: Tensor, cost: Tensor, budget: Tensor) -> Tensor:
    """The nearest point whose blocks keep their sums and whose total cost is within a budget.

    By the conditions of optimality it is the projection of `z - lambda cost` onto the simplices
    for the least `lambda >= 0` that meets the budget; the cost falls as lambda grows, so lambda
    is bisected. What costs infinitely much gets no mass.

    Args:
        z: `(B, L, T)`: L blocks of T values.
        mass: `(B, L)`: the sums of the blocks.
        cost: `(B, L, T)`: cost of a unit of mass on each value, at least 0; some value of each
            block must be affordable.
        budget: `(B,)`: largest total cost, within reach of some point.

    Returns:
        `(B, L, T)`: feasible up to rounding.

    Cost: 40 sorts of the blocks.
    """
    barred = cost.isinf()
    price = cost.masked_fill(barred, 0.0)
    z = z.masked_fill(barred, -torch.inf)

    def spent(u: Tensor) -> Tensor:
        return (price * u).flatten(1).sum(1)

    def at(scale: Tensor) -> Tensor:
        return onto_simplex(z - scale[:, None, None] * price, mass)

    low = torch.zeros_like(budget)
    positive = torch.where(price > 0, price, torch.inf).flatten(1).amin(1)
    span = z.masked_fill(barred, 0.0).abs().flatten(1).amax(1) * 2 + mass.amax(1) + 1
    high = torch.where(positive.isfinite(), span / positive, low)
    over = spent(at(low)) > budget
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = spent(at(middle)) <= budget
        low, high = torch.where(fits, low, middle), torch.where(fits, middle, high)
    return torch.where(over[:, None, None], at(high), at(torch.zeros_like(budget)))
