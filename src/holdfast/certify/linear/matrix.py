"""A small convolution as one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from holdfast.certify.network.operators import Convolution, Operator, Shape


@dataclass(frozen=True, eq=False)
class Matrix(Operator):
    """A small convolution written out.

    Args:
        weight: `(out, in)`, of flattened rows.
        bias: of the convolution.
        before: shape of the input.
        after: shape of the output.
        most: products in one output coordinate.
    """

    weight: Tensor
    bias: Tensor | None
    before: Shape
    after: Shape
    most: int

    @staticmethod
    def of(op: Convolution, before: Shape, after: Shape) -> Matrix:
        """The convolution's own numbers, at their places."""
        n = prod(after)
        one = torch.eye(n, dtype=op.weight.dtype, device=op.weight.device)
        weight = op.back(one.reshape(n, *after))[0].flatten(1)
        return Matrix(weight, op.bias, before, after, op.terms)

    @property
    def terms(self) -> int:
        """Number of inputs of one output."""
        return self.most

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return (xs[0].flatten(1) @ self.weight.T).reshape(-1, *self.after)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return (rs[0].flatten(1) @ self.weight.abs().T).reshape(-1, *self.after)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return ((a.flatten(1) @ self.weight).reshape(-1, *self.before),)
