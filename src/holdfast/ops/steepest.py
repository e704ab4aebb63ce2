"""Steepest steps: how a linear function rises most within a ball cut by a box."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.ops.batch import fit
from holdfast.ops.geometry import fill_l2, norm, towards, wide

STUCK = 1e-6  # room below which a coordinate counts as standing at its wall


def step_linf(gradient: Tensor, radius: Tensor) -> Tensor:
    """The corner of the maximum-norm ball in the direction of the gradient.

    The box need not be known: clamping the step to it afterwards keeps it optimal.
    """
    return gradient.sign() * fit(radius, gradient).to(gradient.dtype)


def step_l2(gradient: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """The direction of the gradient, long enough that its part within the box has one radius.

    Over ball and box, <g, s> is largest at clamp(t g, box) with the t for which that has norm r
    (water filling; exact by `fill_l2`). The step returned is t g without the clamp: projected,
    it is that maximiser, and a small multiple of it still moves along the gradient instead of
    creeping towards the walls. Coordinates that cannot move are zero. Without an active wall it
    is r g / ||g||; where the whole room is smaller than the ball it is the room itself.

    Args:
        gradient: `(B, ...)`.
        radius: `(B,)`.
        down: `(B, ...)` how far each coordinate may still go down, <= 0.
        up: `(B, ...)` how far each coordinate may still go up, >= 0.
    """
    kind = wide(gradient)
    g = gradient.flatten(1).to(kind)
    bound = towards(gradient, down, up).flatten(1).to(kind)
    g = torch.where(bound > 0, g, 0.0)
    g = g / g.abs().amax(1, keepdim=True).clamp(min=torch.finfo(kind).tiny) if g.numel() else g
    t = fill_l2(g.abs(), bound, radius.to(kind))[:, None]
    step = torch.where(t.isfinite(), t * g, torch.where(g == 0, 0.0, bound * g.sign()))
    return step.reshape(gradient.shape).to(gradient.dtype)


def even_l2(gradient: Tensor, radius: float, down: Tensor, up: Tensor) -> Tensor:
    """One radius of the Euclidean norm along the gradient, past the coordinates at their wall.

    Args:
        gradient: `(B, ...)`.
        radius: length of the step.
        down: `(B, ...)` how far each coordinate may still go down, <= 0.
        up: `(B, ...)` how far each coordinate may still go up, >= 0.
    """
    free = torch.where(towards(gradient, down, up) > STUCK, gradient, 0.0)
    free = free / fit(free.abs().flatten(1).amax(1), free).clamp(min=torch.finfo(free.dtype).tiny)
    return free * fit(radius / norm(free, 2).clamp(min=1), free).to(free.dtype)


def step_l1(gradient: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """The exact maximiser of a linear function over the L1 ball cut by the box.

    The budget goes to the coordinate with the largest gradient until its room is used up, then
    to the next, and so on: a fractional knapsack with equal weights.

    Args:
        gradient: `(B, ...)`.
        radius: `(B,)`.
        down: `(B, ...)` how far each coordinate may still go down, <= 0.
        up: `(B, ...)` how far each coordinate may still go up, >= 0.
    """
    kind = wide(gradient)
    g, r = gradient.flatten(1), radius.to(kind)[:, None]
    bound = torch.minimum(towards(gradient, down, up).flatten(1).to(kind), r)
    bound = torch.where(g == 0, 0.0, bound)
    order = g.abs().argsort(dim=1, descending=True, stable=True)
    ranked = bound.gather(1, order)
    spent = ranked.cumsum(1) - ranked
    share = torch.minimum((r - spent).clamp(min=0), ranked)
    step = torch.zeros_like(bound).scatter(1, order, share) * g.sign()
    return step.reshape(gradient.shape).to(gradient.dtype)


def even_l1(gradient: Tensor, count: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """One radius of the L1 norm, in equal parts on the coordinates with the largest gradients.

    Args:
        gradient: `(B, ...)`.
        count: `(B,)` how many coordinates take part; those that cannot move are passed over.
        radius: `(B,)`.
        down: `(B, ...)` how far each coordinate may still go down, <= 0.
        up: `(B, ...)` how far each coordinate may still go up, >= 0.
    """
    kind = wide(gradient)
    g = torch.nan_to_num(gradient, nan=0.0).flatten(1).to(kind)
    bound = towards(gradient, down, up).flatten(1).to(kind)
    height = torch.where(bound > STUCK, g.abs(), 0.0)
    order = height.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(g.shape[1], device=g.device).expand_as(order)
    rank = torch.zeros_like(order).scatter(1, order, place)
    chosen = (rank < count.to(g.device)[:, None]) & (height > 0)
    part = radius.to(kind)[:, None] / chosen.sum(1, keepdim=True).clamp(min=1)
    return (chosen * g.sign() * part).reshape(gradient.shape).to(gradient.dtype)
