"""Lines around nonlinear functions on an interval, and minima of linear functions over sets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.ops.interval import TINY, UNIT, Box, gamma


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
    """A number below the minimum of `a . x` over a box, exact up to outward rounding.

    Args:
        a: `(P, n)` coefficients.
        box: ends `(P, n)`.
    """
    low, high = box
    value = (a.clamp(min=0) * low + a.clamp(max=0) * high).sum(1)
    mass = (a.abs() * box.magnitude).sum(1)
    return value - 2 * gamma(a.shape[1] + 4) * mass - TINY


def lower_on_ball(a: Tensor, centre: Tensor, radius: Tensor, norm: float) -> Tensor:
    """A number below the minimum of `a . x` over a ball: `a . c - r ||a||` in the dual norm.

    Exact up to outward rounding, by Hoelder's inequality, which is attained.

    Args:
        a: `(P, n)` coefficients.
        centre: `(P, n)`.
        radius: `(P,)`.
        norm: order p >= 1 of the norm that measures the ball; its dual q has 1/p + 1/q = 1.
    """
    dual = torch.inf if norm == 1 else 1.0 if norm == torch.inf else norm / (norm - 1)
    reach = radius * torch.linalg.vector_norm(a, ord=dual, dim=1)
    mass = (a.abs() * centre.abs()).sum(1) + reach
    found: Tensor = (a * centre).sum(1) - reach - 2 * gamma(a.shape[1] + 8) * mass - TINY
    return found
