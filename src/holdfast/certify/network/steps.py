"""Functions that jump: the sign and the floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.network.bends import Bend, Choice, Planes
from holdfast.ops.interval import Box


@dataclass(frozen=True, eq=False)
class Step(Bend):
    """A rising function that is constant between jumps, computed without rounding.

    Both planes are constant: the values at the ends of the box.

    Args:
        function: such as `torch.sign` or `torch.floor`.
    """

    function: Callable[[Tensor], Tensor]

    def value(self, xs: Sequence[Tensor]) -> Tensor:
        return self.function(xs[0])

    def box(self, boxes: Sequence[Box]) -> Box:
        return Box(self.function(boxes[0].low), self.function(boxes[0].high))

    def reach(self, boxes: Sequence[Box], box: Box) -> Tensor:
        return box.magnitude

    def planes(self, boxes: Sequence[Box], choice: Choice | None = None) -> Planes:
        low, high = self.box(boxes)
        flat = 0 * (boxes[0].low + boxes[0].high)
        below, above = (flat, flat) if choice is None else (flat * c for c in choice)
        return Planes((below,), low + flat, (above,), high + flat)

    def start(self, boxes: Sequence[Box]) -> Choice:
        half = torch.full_like(boxes[0].low, 0.5)
        return Choice(half, half)

    def open(self, box: Box) -> Tensor:
        return self.function(box.low) != self.function(box.high)
