"""Steepest steps: how a linear function rises most within a ball cut by a box."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.ops.batch import fit
from holdfast.ops.filling import fill_l2
from holdfast.ops.geometry import norm, towards, wide

STUCK = 1e-6  # room below which a coordinate counts as standing at its wall


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


def even_l1(
    change: Tensor, gradient: Tensor, share: float, radius: float, down: Tensor, up: Tensor
) -> Tensor:
    """One radius of the L1 norm, in equal parts on the coordinates with the largest gradients.

    Their number is a share of those that the radius would fill up if nothing were changed yet.

    Args:
        change: `(B, ...)` where the step starts.
        gradient: `(B, ...)`.
        share: part of the coordinates a radius fills up, in (0, 1].
        radius: sum of the step.
        down: `(B, ...)` how far each coordinate of the input may go down, <= 0.
        up: `(B, ...)` how far each coordinate of the input may go up, >= 0.
    """
    flat, way = gradient.flatten(1), towards(gradient, down, up).flatten(1)
    left = way - torch.where(flat > 0, change.flatten(1), -change.flatten(1))
    height, order = flat.abs().sort(dim=1, descending=True, stable=True)
    room = torch.where(height > 0, way.gather(1, order), 0.0)
    spent = room.cumsum(1, dtype=wide(gradient)) - room
    full = ((spent < radius) & (room > 0)).sum(1, keepdim=True)
    free = (left.gather(1, order) > STUCK) & (height > 0)
    chosen = free & (free.cumsum(1) <= (full * share).ceil().clamp(min=1))
    part = chosen * (radius / chosen.sum(1, keepdim=True).clamp(min=1))
    step = torch.zeros_like(flat).scatter(1, order, part.to(flat)) * flat.sign()
    return step.reshape(gradient.shape)
