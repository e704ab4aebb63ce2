"""Sine and cosine: the pieces of an interval follow their period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from holdfast.certify.network.bends import Choice, Planes
from holdfast.certify.network.curves import CONCAVE, CONVEX, Curve, Piece
from holdfast.ops.interval import Box

FAR = 1e5  # from here on the place within a period is known too roughly


@dataclass(frozen=True, eq=False)
class Wave(Curve):
    """`sin(x + shift)` in pieces from one zero to the next.

    Over more than a period, and far away from zero, the planes are constant.

    Args:
        shift: 0 for the sine, pi / 2 for the cosine.
    """

    shift: float = 0.0

    def pieces(self, box: Box) -> Iterator[Piece]:
        base = torch.floor((box.low + self.shift) / pi)
        low = box.low
        for i in range(4):
            high = ((base + i + 1) * pi - self.shift).maximum(low).minimum(box.high)
            bend = torch.where((base + i) % 2 == 0, CONCAVE, CONVEX)
            yield Piece(low, high if i < 3 else box.high, bend, i)
            low = high

    def box(self, boxes: Sequence[Box]) -> Box:
        near = self._near(boxes[0])
        found = super().box(boxes)
        ones = torch.ones_like(found.low) + 0 * (boxes[0].low + boxes[0].high)
        return Box(torch.where(near, found.low, -ones), torch.where(near, found.high, ones))

    def planes(self, boxes: Sequence[Box], choice: Choice | None = None) -> Planes:
        near, found = self._near(boxes[0]), super().planes(boxes, choice)
        ones = torch.ones_like(boxes[0].low) + 0 * (boxes[0].low + boxes[0].high)

        def kept(values: Tensor, otherwise: Tensor) -> Tensor:
            return torch.where(near, values, otherwise)

        return Planes(
            (kept(found.below[0], 0 * ones),), kept(found.below_offset, -ones),
            (kept(found.above[0], 0 * ones),), kept(found.above_offset, ones),
        )  # fmt: skip

    def _near(self, box: Box) -> Tensor:
        return (box.high - box.low < 2 * pi) & (box.magnitude < FAR)


SINE = Wave(torch.sin, lambda x, _: torch.cos(x), ends=(-1, 1), scale=torch.ones_like)
COSINE = Wave(
    torch.cos, lambda x, _: -torch.sin(x), ends=(-1, 1), scale=torch.ones_like, shift=pi / 2
)
