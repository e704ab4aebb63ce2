"""Nearest points of a hyperplane cut by a box: exact, row by row, without Python loops.

As in `geometry`, a row is a change d, and the box is given by how far each coordinate may go
down (`down` <= 0) and up (`up` >= 0).
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from holdfast.ops.geometry import norm, towards, wide

_TINY = 1e-12


def dual_norm(w: Tensor, order: float) -> Tensor:
    """`(B,)`: how far a unit ball of that order moves `w . d`; the q-norm with 1/p + 1/q = 1."""
    return norm(w, {1.0: inf, inf: 1.0}.get(order, order / (order - 1) if order > 1 else inf))


def onto_hyperplane(w: Tensor, gap: Tensor, down: Tensor, up: Tensor, order: float) -> Tensor:
    """Shortest change d in the box with `w . d = gap`, in the norm of an order.

    Every coordinate moves towards its useful side. Euclidean: in proportion to |w_i| until it
    meets its wall; maximum norm: all equally far until they meet their walls; both lengths are
    one number per row, at which a concave piecewise linear function takes a value, so it is found
    exactly from sorted breakpoints. Sum of changes: the largest |w_i| first, to the wall, the
    last one part of the way. Coordinates with w_i = 0 stay. Where the box does not reach the
    hyperplane, all useful coordinates go to their walls: the closest approach.

    Args:
        w: `(B, ...)` normals.
        gap: `(B,)` what is to be gained along them, of either sign.
        down: `(B, ...)` least admissible change, <= 0.
        up: `(B, ...)` largest admissible change, >= 0.
        order: 1, 2 or inf.
    """
    kind = wide(w)
    side = torch.where(gap < 0, -1.0, 1.0).to(w)
    toward = w * side.reshape(-1, *[1] * (w.dim() - 1))
    bound = towards(toward, down, up).flatten(1).to(kind)
    y = toward.flatten(1).abs().to(kind)
    scale = y.amax(1).clamp(min=torch.finfo(kind).tiny) if y.shape[1] else y.sum(1) + 1
    y, need = y / scale[:, None], gap.abs().to(kind) / scale
    bound = torch.where(y > 0, bound, 0.0)
    far = _filled(y, bound, need) if order == 1 else _raised(y, bound, need, order)
    return (far.to(w.dtype) * toward.flatten(1).sign()).reshape(w.shape)


def _raised(y: Tensor, bound: Tensor, need: Tensor, order: float) -> Tensor:
    """`(B, n)`: min(t v, bound) with the least t at which its product with y reaches the need.

    v is y in the Euclidean norm and 1 in the maximum norm. Between sorted breakpoints bound / v
    the product is linear in t: what has met its wall is known, the rest grows with sum(y v).
    """
    v = y if order == 2 else (y > 0).to(y)
    meets = torch.where(y > 0, bound / v.clamp(min=torch.finfo(y.dtype).tiny), inf)
    points, order_of = meets.sort(1)
    met = (y * bound).gather(1, order_of).cumsum(1)
    rates = (y * v).gather(1, order_of)
    free = rates.flip(1).cumsum(1).flip(1) - rates  # rate of those that meet later
    zero = torch.zeros_like(met[:, :1])
    before = torch.cat([zero, met], 1)
    rate = torch.cat([rates.sum(1, keepdim=True), free.clamp(min=0)], 1)
    reached = met + points.where(points.isfinite(), 0.0) * free  # product at each breakpoint
    place = ((reached < need[:, None]) & points.isfinite()).sum(1, keepdim=True)
    rest = need[:, None] - before.gather(1, place)
    t = rest.clamp(min=0) / rate.gather(1, place).clamp(min=torch.finfo(y.dtype).tiny)
    possible = ((y * bound).sum(1) > need)[:, None]
    return torch.where(possible, torch.minimum(t * v, bound), bound)


def _filled(y: Tensor, bound: Tensor, need: Tensor) -> Tensor:
    """`(B, n)`: the coordinates with the largest y at their bounds until the need is met."""
    order = y.argsort(dim=1, descending=True, stable=True)
    rates, walls = y.gather(1, order), bound.gather(1, order)
    gains = rates * walls
    rest = (need[:, None] - (gains.cumsum(1) - gains)).clamp(min=0)
    far = torch.minimum(rest / rates.clamp(min=_TINY), walls)
    return torch.zeros_like(y).scatter(1, order, far)
