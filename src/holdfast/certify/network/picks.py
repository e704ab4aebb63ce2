"""Numbers taken from values and laid out anew: slices, gathers, flips, padding, concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from holdfast.certify.network.operators import Operator, Shape


@dataclass(frozen=True, eq=False)
class Pick(Operator):
    """Each number of the output is one number of the inputs, or a constant.

    Args:
        index: of each number of the output among the numbers of one row of all inputs side by
            side, in order; the place behind the last one stands for no input.
        before: shape of one row of each input.
        after: shape of one row of the output.
        bias: the constants, zero elsewhere; None where there are none.
    """

    index: Tensor
    before: tuple[Shape, ...]
    after: Shape
    bias: Tensor | None = None

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Whether its transpose adds nothing up either."""
        return self.bias is None and len(self.index.unique()) == len(self.index)

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        flat = torch.cat([*(x.flatten(1) for x in xs), xs[0].new_zeros(len(xs[0]), 1)], 1)
        return flat[:, self.index].reshape(len(flat), *self.after)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self.linear(rs)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        sizes = [prod(shape) for shape in self.before]
        found = a.new_zeros(len(a), sum(sizes) + 1)
        parts = found.index_add(1, self.index, a.flatten(1))[:, :-1].split(sizes, 1)
        return tuple(p.reshape(len(a), *s) for p, s in zip(parts, self.before, strict=True))
