"""The inputs that a threat admits, as a box and, where it is smaller, a norm ball."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Threat
from holdfast.ops.interval import TINY, Box, Index, around, gamma
from holdfast.ops.linear import lower_on_ball, lower_on_both, lower_on_box
from holdfast.threats.ball import Ball
from holdfast.threats.shared import Shared


@dataclass(frozen=True, eq=False)
class Region:
    """A set of inputs per row: what lies in the box and in the ball.

    Args:
        box: ends `(B, ...)`.
        centre: `(B, ...)` of the ball.
        radius: `(B,)` of the ball; None if the box is all.
        norm: order of the norm that measures the ball.
    """

    box: Box
    centre: Tensor
    radius: Tensor | None = None
    norm: float = torch.inf

    @property
    def boxed(self) -> bool:
        """Whether the box is all."""
        return type(self) is Region and self.radius is None

    def take(self, rows: Index) -> Region:
        """The regions of a selection of rows."""
        radius = None if self.radius is None else self.radius[rows]
        return Region(self.box.take(rows), self.centre[rows], radius, self.norm)

    def lower(self, a: Tensor) -> Tensor:
        """`(B, m)`: numbers below `a . x` for every x of each row's region.

        Exact for balls of order 1 and 2, cut by the box or not. For other orders the larger of
        the minima over box and ball is taken, below which that over both does not lie.

        Args:
            a: `(B, m, n)` coefficients, m questions about each row.
        """
        box, centre = self.box.flat(), self.centre.flatten(1)
        if self.radius is None:
            return lower_on_box(a, box)
        if self.norm in (1, 2):
            return lower_on_both(a, box, centre, self.radius, int(self.norm))
        ball = lower_on_ball(a, centre, self.radius, self.norm)
        return torch.maximum(lower_on_box(a, box), ball)

    def part(self, box: Box) -> Region:
        """What lies in smaller boxes, of a region of one row."""
        count = len(box.low)
        radius = None if self.radius is None else self.radius.expand(count)
        return Region(box, self.centre.expand(count, *self.centre.shape[1:]), radius, self.norm)

    def empty(self) -> Tensor:
        """`(B,)` bool: where box and ball do not meet."""
        if self.radius is None:
            return torch.zeros(len(self.centre), dtype=torch.bool)
        away = torch.maximum(self.box.low - self.centre, self.centre - self.box.high)
        away = away.clamp(min=0).flatten(1)
        size = torch.linalg.vector_norm(away, ord=self.norm, dim=1)
        apart: Tensor = size * (1 - 4 * gamma(away.shape[1] + 8)) > self.radius
        return apart

    def pulled(self, x: Tensor) -> Tensor:
        """Points `(N, ...)` of the box, drawn to the centre until the ball holds them; one row."""
        if self.radius is None:
            return x
        change = (x - self.centre).flatten(1)
        size = torch.linalg.vector_norm(change, ord=self.norm, dim=1, keepdim=True)
        share = (self.radius / size.clamp(min=TINY)).clamp(max=1)
        drawn: Tensor = self.centre + (change * share).reshape(x.shape)
        return drawn


def region(threat: Threat, x: Tensor) -> Region:
    """The region of a threat that changes inputs by a norm ball within [low, high].

    Args:
        threat: a ball in any norm.
        x: `(B, ...)` inputs.

    Raises:
        Unsupported: for other threats.
    """
    # One row for all is a smaller set than any row for each.
    inner = threat.threat if isinstance(threat, Shared) else threat
    if not isinstance(inner, Ball):
        raise Unsupported(
            f"linear bounds do not cover {threat.spec}",
            fix="Certify a norm ball such as linf:8/255, l2:0.5 or l1:2.",
            code="E0311",
        )
    box = around(x, inner.radius, inner.low, inner.high)
    centre = x.double()
    if inner.order == torch.inf:
        return Region(box, centre)
    # The changed input is rounded to the precision of x, which moves it by less than this, and
    # the norm of a change is itself known up to rounding when it is projected.
    eps = torch.finfo(x.dtype).eps
    reach = torch.linalg.vector_norm(centre.flatten(1), ord=inner.order, dim=1) + inner.radius
    radius = inner.radius * (1 + 32 * eps) + eps * reach
    return Region(box, centre, radius, inner.order)


def through(network: Callable[[Tensor], Tensor], region: Region) -> Callable[[Tensor], Tensor]:
    """The network behind the map that draws a box into a region of one row: any point will do."""
    return network if region.radius is None else lambda x: network(region.pulled(x))
