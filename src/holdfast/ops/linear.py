"""Lines around nonlinear functions on an interval, and minima of linear functions over sets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.ops.filling import fill_l2
from holdfast.ops.interval import TINY, UNIT, Box, gamma

NEARLY = 1 - 1e-4  # share of a radius: what a box cuts off beyond it is not worth the search


class Lines(NamedTuple):
    """Two lines per coordinate: `lower_slope x <= f(x) <= upper_slope x + upper_offset`.

    Args:
        lower_slope: slope of the line below; it passes through the origin.
        upper_slope: slope of the line above.
        upper_offset: value of the line above at zero.
    """

    lower_slope: Tensor
    upper_slope: Tensor
    upper_offset: Tensor

    def take(self, rows: Tensor) -> Lines:
        """The lines of a selection of rows."""
        return Lines(*(part[rows] for part in self))


def relu_lines(box: Box) -> Lines:
    """The lines of least area around `max(x, 0)` on each interval.

    Where the sign is known both lines are the function itself. Elsewhere the line above is the
    chord; below, the identity if the interval reaches further up than down and zero otherwise,
    which of all slopes in [0, 1] leaves the smallest triangle.

    The chord is computed in floats and then lifted so that it clears both ends; as the function
    is convex it clears everything between.
    """
    low, high = box
    on, off = (low >= 0), (high <= 0)
    crossing = ~(on | off)
    width = torch.where(crossing, high - low, torch.ones_like(low))
    chord = torch.where(crossing, high / width, on.to(low.dtype))
    lift = torch.maximum(-chord * low, high - chord * high)
    lift = lift + 8 * UNIT * (chord.abs() * box.magnitude + box.magnitude) + TINY
    below = torch.where(crossing, (high > -low).to(low.dtype), on.to(low.dtype))
    below = below + 0 * (low + high)  # an end that is not finite makes NaN, which proves nothing
    return Lines(below, chord, torch.where(crossing, lift, torch.zeros_like(lift)))


def lower_on_box(a: Tensor, box: Box) -> Tensor:
    """`(B, m)`: numbers below the minima of `a . x` over boxes, exact up to outward rounding.

    A linear function is least at a corner: `a . c - |a| . r` with centre c and half width r.

    Args:
        a: `(B, m, n)` coefficients, m functions for each box.
        box: ends `(B, n)`.
    """
    low, high = box
    centre = (low + high) / 2
    half = torch.maximum(high - centre, centre - low)
    size = a.abs() @ torch.stack([half, box.magnitude], 2)
    value = (a @ centre[:, :, None]).squeeze(2) - size[:, :, 0]
    return value - 4 * gamma(a.shape[2] + 8) * size[:, :, 1] - TINY


def lower_on_ball(a: Tensor, centre: Tensor, radius: Tensor, norm: float) -> Tensor:
    """`(B, m)`: numbers below the minima of `a . x` over balls: `a . c - r ||a||`, dual norm.

    Exact up to outward rounding, by Hoelder's inequality, which is attained.

    Args:
        a: `(B, m, n)` coefficients, m functions for each ball.
        centre: `(B, n)`.
        radius: `(B,)`.
        norm: order p >= 1 of the norm that measures the ball; its dual q has 1/p + 1/q = 1.
    """
    dual = torch.inf if norm == 1 else 1.0 if norm == torch.inf else norm / (norm - 1)
    reach = radius[:, None] * torch.linalg.vector_norm(a, ord=dual, dim=2)
    mass = (a.abs() @ centre.abs()[:, :, None]).squeeze(2) + reach
    value = (a @ centre[:, :, None]).squeeze(2) - reach
    found: Tensor = value - 2 * gamma(a.shape[2] + 8) * mass - TINY
    return found


def lower_on_both(a: Tensor, box: Box, centre: Tensor, radius: Tensor, norm: int) -> Tensor:
    """`(B, m)`: numbers below the minima of `a . x` over balls cut by boxes.

    However a is divided into u + v, the minimum of `u . x` over the box and that of `v . x` over
    the ball add up to a number below. Where the centre lies in the box, the division taken here
    attains the minimum: in v each coefficient is cut at its share in the dual of the ball where
    the coordinate meets the end of the box. It is chosen in floats, and holds whatever it is.

    Args:
        a: `(B, m, n)` coefficients, m functions for each set.
        box: ends `(B, n)`.
        centre: `(B, n)` of the ball.
        radius: `(B,)`.
        norm: 1 or 2, the order that measures the ball.
    """
    reach = torch.minimum(centre - box.low, box.high - centre).amin(1)
    if bool((reach >= NEARLY * radius).all()):
        return lower_on_ball(a, centre, radius, norm)
    size = a.detach().abs().nan_to_num()
    low, high = (centre - box.low)[:, None], (box.high - centre)[:, None]
    room = torch.where(a.detach() > 0, low, high).clamp(min=0)
    cap = (_cap_l1 if norm == 1 else _cap_l2)(size, room, radius)
    v = torch.where(size > cap, torch.copysign(cap, a.detach()), a)
    u = a - v
    lost = UNIT * (u.detach().abs() @ box.magnitude[:, :, None]).squeeze(2)  # by the difference
    found = lower_on_box(u, box) + lower_on_ball(v, centre, radius, norm) - 2 * lost
    return found - 2 * UNIT * found.detach().abs()


def _cap_l1(size: Tensor, room: Tensor, radius: Tensor) -> Tensor:
    """`(B, m, 1)`: the size down to which coordinates go to their end until the radius is spent."""
    sizes, order = size.sort(2, descending=True)
    spent = room.gather(2, order).cumsum(2) >= radius[:, None, None]
    last = sizes.gather(2, spent.int().argmax(2, keepdim=True))
    return last.masked_fill(~spent[:, :, -1:], 0.0)


def _cap_l2(size: Tensor, room: Tensor, radius: Tensor) -> Tensor:
    """`(B, m, n)`: the room over the scale at which `min(scale size, room)` fills the ball."""
    scale = fill_l2(size.flatten(0, 1), room.flatten(0, 1), radius.repeat_interleave(size.shape[1]))
    return room / scale.reshape(*size.shape[:2], 1)
