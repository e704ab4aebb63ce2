"""The product of two values, between the planes of McCormick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.network.bends import Bend, Choice, Planes
from holdfast.ops.interval import TINY, UNIT, Box


@dataclass(frozen=True, eq=False)
class Product(Bend):
    """`x y`, coordinate by coordinate.

    `(x - low_x)(y - low_y) >= 0` and its three variants give two planes below and two above,
    whose convex combinations make up all planes that touch the product over the box (McCormick);
    the choice is the weight of the first one. A value times itself is a square, not this.
    """

    @property
    def roundings(self) -> int:
        """One rounding, and one for the kernels that fuse it with others."""
        return 2

    def value(self, xs: Sequence[Tensor]) -> Tensor:
        return xs[0] * xs[1]

    def box(self, boxes: Sequence[Box]) -> Box:
        x, y = boxes
        corners = torch.stack([a * b for a in x for b in y])
        loss = 4 * UNIT * x.magnitude * y.magnitude + TINY
        return Box(corners.amin(0) - loss, corners.amax(0) + loss)

    def reach(self, boxes: Sequence[Box], box: Box) -> Tensor:
        return 3 * boxes[0].magnitude * boxes[1].magnitude

    def planes(self, boxes: Sequence[Box], choice: Choice | None = None) -> Planes:
        x, y = boxes
        half = torch.full_like(x.low, 0.5)
        below, above = (c.clamp(0, 1) for c in choice or (half, half))
        loss = 32 * UNIT * x.magnitude * y.magnitude + TINY

        def mixed(share: Tensor, first: Tensor, second: Tensor) -> Tensor:
            return share * first + (1 - share) * second

        return Planes(
            (mixed(below, y.low, y.high), mixed(below, x.low, x.high)),
            -mixed(below, x.low * y.low, x.high * y.high) - loss,
            (mixed(above, y.high, y.low), mixed(above, x.low, x.high)),
            -mixed(above, x.low * y.high, x.high * y.low) + loss,
        )

    def start(self, boxes: Sequence[Box]) -> Choice:
        half = torch.full_like(boxes[0].low, 0.5)
        return Choice(half, half)
