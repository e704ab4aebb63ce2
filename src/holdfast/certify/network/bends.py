"""Functions that bend: they act coordinate by coordinate on one or two values of one shape.

All that a network does besides affine maps is written with these: a maximum is `a + relu(b - a)`,
a quotient a product with a reciprocal, attention products and exponentials.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.ops.interval import Box, Index, relu
from holdfast.ops.linear import relu_lines


class Choice(NamedTuple):
    """Where the planes of a bend touch it: what optimised bounds are free to choose.

    Args:
        below: numbers in [0, 1] of the bend's shape, for the plane below.
        above: likewise for the plane above.
    """

    below: Tensor
    above: Tensor


class Planes(NamedTuple):
    """`sum slope x + offset` below and above a bend over a box, coordinate by coordinate.

    Args:
        below: slopes of the plane below, one tensor per parent.
        below_offset: its value where all parents are zero.
        above: slopes of the plane above, one per parent.
        above_offset: its value where all parents are zero.
    """

    below: tuple[Tensor, ...]
    below_offset: Tensor
    above: tuple[Tensor, ...]
    above_offset: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> Planes:
        """The planes with each of their tensors changed alike."""
        return Planes(
            tuple(map(change, self.below)), change(self.below_offset),
            tuple(map(change, self.above)), change(self.above_offset),
        )  # fmt: skip

    def take(self, rows: Index) -> Planes:
        """The planes of a selection of rows."""
        return self.each(lambda v: v[rows])


class Bend(ABC):
    """A function of one or two values, coordinate by coordinate, that is not affine.

    Everything is computed in float64 and holds for real arguments: `box` and `planes` cover what
    this code itself may lose. What the model loses when it computes the function in its own type
    is said by `roundings`, and added by the engine.
    """

    @property
    def roundings(self) -> int:
        """Relative error of the model's own result, in half units of its last place; 0: exact."""
        return 0

    @property
    def limits(self) -> tuple[float, float]:
        """Ends that neither the result nor what the model computes leaves."""
        return -torch.inf, torch.inf

    def mass(self, boxes: Sequence[Box], box: Box) -> Tensor:
        """Sizes by which the roundings are measured, from the parents' boxes and the own one."""
        return box.magnitude

    @abstractmethod
    def reach(self, boxes: Sequence[Box], box: Box) -> Tensor:
        """At least the sum of the absolute terms of every plane that may be chosen."""

    @abstractmethod
    def value(self, xs: Sequence[Tensor]) -> Tensor:
        """The function itself, in float64."""

    @abstractmethod
    def box(self, boxes: Sequence[Box]) -> Box:
        """A box that holds the image of the boxes; ends that are not finite prove nothing."""

    @abstractmethod
    def planes(self, boxes: Sequence[Box], choice: Choice | None = None) -> Planes:
        """A plane below and one above the function over the boxes.

        Differentiable in the choice. Where a box is not finite the planes are NaN or infinite.

        Args:
            boxes: one per parent, of the bend's own shape.
            choice: which of the sound planes to take; those of least area if left out.
        """

    @abstractmethod
    def start(self, boxes: Sequence[Box]) -> Choice:
        """The choice from which optimisation starts: the planes that are taken without one."""

    def open(self, box: Box) -> Tensor:
        """Coordinates of a parent whose tighter box would help; all whose box has a width."""
        return box.low < box.high


@dataclass(frozen=True, eq=False)
class Relu(Bend):
    """`max(x, 0)`. The choice below is the slope of a line through the origin."""

    def value(self, xs: Sequence[Tensor]) -> Tensor:
        return torch.relu(xs[0])

    def box(self, boxes: Sequence[Box]) -> Box:
        return relu(boxes[0])

    def reach(self, boxes: Sequence[Box], box: Box) -> Tensor:
        return boxes[0].magnitude

    def planes(self, boxes: Sequence[Box], choice: Choice | None = None) -> Planes:
        lines = relu_lines(boxes[0])
        below = lines.lower_slope
        if choice is not None:
            below = torch.where(self.open(boxes[0]), choice.below.clamp(0, 1), below)
        none = torch.zeros_like(lines.upper_offset)
        return Planes((below,), none, (lines.upper_slope,), lines.upper_offset)

    def start(self, boxes: Sequence[Box]) -> Choice:
        below = relu_lines(boxes[0]).lower_slope
        return Choice(below, torch.zeros_like(below))

    def open(self, box: Box) -> Tensor:
        return (box.low < 0) & (box.high > 0)
