"""Values of which more is known than the operators that made them show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.network.operators import Operator, Shape
from holdfast.ops.interval import Box


@dataclass(frozen=True, eq=False)
class Known(Operator):
    """The first input itself; the others only say something about it.

    A maximum written as `a + relu(b - a)` lies in the box of maxima, which sums of boxes do not
    show; the error of a kernel that subtracts large numbers goes by their size, not by that of
    the small result.

    Args:
        holds: from the inputs' boxes to a box that holds the value in real arithmetic; None if
            nothing is known.
        weight: from the inputs' magnitudes to the sizes by which roundings are measured; None
            for the magnitude of the value alone.
        ends: limits that neither the value nor what the model computes leaves.
        others: shapes of one row of the inputs behind the first.
    """

    bias = None
    holds: Callable[[Sequence[Box]], Box] | None = None
    weight: Callable[[Sequence[Tensor]], Tensor] | None = None
    ends: tuple[float, float] = (-torch.inf, torch.inf)
    others: tuple[Shape, ...] = ()

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return xs[0]

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return rs[0]

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (a, *(a.new_zeros(()).expand(len(a), *shape) for shape in self.others))

    def mass(self, sizes: Sequence[Tensor]) -> Tensor:
        return sizes[0] if self.weight is None else torch.maximum(sizes[0], self.weight(sizes))

    def inside(self, boxes: Sequence[Box]) -> Box | None:
        return None if self.holds is None else self.holds(boxes)

    @property
    def limits(self) -> tuple[float, float]:
        """Ends that neither the value nor what the model computes leaves."""
        return self.ends
