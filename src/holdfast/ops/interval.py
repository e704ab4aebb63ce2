"""Interval arithmetic on tensors, rounded outward so that its boxes hold for real numbers.

Every bound is computed in float64 and then widened by the standard error of the operation that
made it, so that the exact result of the same operation on real numbers lies inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

UNIT = 2.0**-53  # half the distance between 1 and the next float64
TINY = 1e-300  # covers what underflow may lose
Index: TypeAlias = Tensor | slice | tuple[Tensor, ...]  # a selection of rows


def gamma(terms: int, unit: float = UNIT) -> float:
    """Relative error of a sum of `terms` products in any order: `n u / (1 - n u)`.

    Infinite where so many roundings may lose everything.

    Args:
        terms: number of products.
        unit: relative error of one rounding; that of float64 unless given.
    """
    share = terms * unit
    return share / (1 - share) if share < 1 else inf


class Box(NamedTuple):
    """All tensors between two others, both ends included.

    Args:
        low: lower ends, float64.
        high: upper ends, of the same shape.
    """

    low: Tensor
    high: Tensor

    @property
    def magnitude(self) -> Tensor:
        """The largest absolute value inside."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def take(self, rows: Index) -> Box:
        """The box of a selection of rows."""
        return Box(self.low[rows], self.high[rows])

    def flat(self) -> Box:
        """The same box with one axis behind the rows."""
        return Box(self.low.flatten(1), self.high.flatten(1))


def widen(low: Tensor, high: Tensor, error: Tensor | float) -> Box:
    """The box enlarged by `error` on every side, itself rounded outward.

    The subtraction rounds once more; one step to the next float covers it.
    """
    down = torch.full_like(low, -torch.inf)
    return Box(torch.nextafter(low - error, down), torch.nextafter(high + error, -down))


def around(x: Tensor, radius: float | Tensor, low: float, high: float) -> Box:
    """The box `[x - radius, x + radius]`, cut to `[low, high]` after rounding outward.

    A change that is stored in the precision of `x` may leave the exact box by the rounding of
    one sum, so one unit of that precision is added, twice what rounding can do. The box always
    holds `x` itself, even where `x` lies outside `[low, high]`.

    Args:
        x: `(B, ...)` centres.
        radius: one number, or `(B, ...)`.
        low: smallest admissible value.
        high: largest admissible value.
    """
    wide = x.double()
    low, high = _outward(low, high, x.dtype)
    slack = torch.finfo(x.dtype).eps * (wide.abs() + radius)
    box = widen(wide - radius, wide + radius, slack)
    return Box(
        torch.minimum(box.low.clamp(min=low), wide), torch.maximum(box.high.clamp(max=high), wide)
    )


def _outward(low: float, high: float, dtype: torch.dtype) -> tuple[float, float]:
    """A range that also holds its ends as they are when stored in another type."""
    stored = torch.tensor([low, high], dtype=torch.float64).to(dtype).tolist()
    return min(low, stored[0]), max(high, stored[1])


def affine(
    boxes: Sequence[Box],
    apply: Callable[[Sequence[Tensor]], Tensor],
    spread: Callable[[Sequence[Tensor]], Tensor],
    bias: Tensor | None,
    terms: int,
) -> Box:
    """The smallest box that holds `W x + b` for every x of the boxes, widened by its rounding.

    The centre goes through `W`, the half width through `|W|`: exact for one affine operation,
    because each output coordinate attains its ends at a corner of the box.

    Args:
        boxes: one per input of the operation.
        apply: `x -> W x`.
        spread: `r -> |W| r`.
        bias: `b`, or None.
        terms: number of products summed in one output coordinate.
    """
    centres = [(box.low + box.high) / 2 for box in boxes]
    # The centre is rounded; the farther end as half width keeps both ends inside.
    halves = [torch.maximum(b.high - c, c - b.low) for b, c in zip(boxes, centres, strict=True)]
    middle, reach = apply(centres), spread(halves)
    mass = spread([box.magnitude for box in boxes])
    if bias is not None:
        middle, mass = middle + bias, mass + bias.abs()
    # Centre, half width and their sum each err by at most gamma times the mass.
    return widen(middle - reach, middle + reach, 4 * gamma(terms + 4) * mass + TINY)


def relu(box: Box) -> Box:
    """The exact image under `max(x, 0)`."""
    return Box(box.low.clamp(min=0), box.high.clamp(min=0))


def intersect(a: Box, b: Box) -> Box:
    """What lies in both; where rounding would make the ends cross, the first box stays."""
    low, high = torch.maximum(a.low, b.low), torch.minimum(a.high, b.high)
    good = low <= high  # false for NaN as well
    return Box(torch.where(good, low, a.low), torch.where(good, high, a.high))


def within(box: Box, low: float, high: float) -> Box:
    """The box cut to a range, for values that are known to lie there."""
    if low == -inf and high == inf:
        return box
    return Box(box.low.clamp(min=low), box.high.clamp(max=high))
