"""Affine operators along axes: matrices, and what attention and normalisation are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from holdfast.certify.network.operators import Operator, Shape
from holdfast.certify.network.rearrange import Mean


@dataclass(frozen=True, eq=False)
class Along(Operator):
    """A matrix applied along one axis: cumulative sums, products with a constant from the left.

    Args:
        weight: `(out, in)`.
        axis: rows being axis 0.
        bias: broadcast against one row, or None.
    """

    shortcut = "matmul"
    weight: Tensor
    axis: int
    bias: Tensor | None = None

    @property
    def terms(self) -> int:
        """Number of inputs of one output."""
        return self.weight.shape[1]

    def _times(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x.movedim(self.axis, -1) @ weight.T).movedim(-1, self.axis)

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self._times(xs[0], self.weight)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self._times(rs[0], self.weight.abs())

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (self._times(a, self.weight.T),)


@dataclass(frozen=True, eq=False)
class Stacked(Operator):
    """`x W`, or `W x`, for a stack of matrices, over the last two axes.

    Args:
        weight: the matrices, their front axes equal to those of x.
        left: whether the matrices stand on the left.
    """

    bias = None
    shortcut = "matmul"
    weight: Tensor
    left: bool = False

    @property
    def terms(self) -> int:
        """Number of inputs of one output."""
        return self.weight.shape[-1 if self.left else -2]

    def _times(self, x: Tensor, weight: Tensor) -> Tensor:
        return weight @ x if self.left else x @ weight

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self._times(xs[0], self.weight)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self._times(rs[0], self.weight.abs())

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (self._times(a, self.weight.mT),)


@dataclass(frozen=True, eq=False)
class Contraction(Mean):
    """The sum over the inner axis of a product of two matrices that both depend on the input."""

    shortcut = "matmul"


@dataclass(frozen=True, eq=False)
class Differences(Operator):
    """`x_j - x_i` for all pairs of the last axis, as `(..., i, j)`."""

    bias = None

    @property
    def terms(self) -> int:
        """Two."""
        return 2

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return xs[0][..., None, :] - xs[0][..., :, None]

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        both = rs[0][..., None, :] + rs[0][..., :, None]
        same = torch.eye(rs[0].shape[-1], dtype=torch.bool, device=both.device)
        return both.masked_fill(same, 0.0)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (a.sum(-2) - a.sum(-1),)


@dataclass(frozen=True, eq=False)
class Centre(Operator):
    """`x` minus its mean over some axes.

    Args:
        axes: positive, rows not among them.
        before: shape of one row.
    """

    bias = None
    axes: Shape
    before: Shape

    @property
    def terms(self) -> int:
        """Number of entries of one mean."""
        return prod(self.before[i - 1] for i in self.axes)

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return xs[0] - xs[0].mean(self.axes, keepdim=True)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        own, mean = abs(1 - 1 / self.terms) - 1 / self.terms, rs[0].mean(self.axes, keepdim=True)
        return rs[0] * own + mean

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (a - a.mean(self.axes, keepdim=True),)
