"""Affine operators that add up or move numbers: residual sums, reshapes, transposes, means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from holdfast.certify.network.operators import Operator, Shape


@dataclass(frozen=True, eq=False)
class Total(Operator):
    """A signed sum of tensors of one shape: residual connections.

    Args:
        factors: one number per input.
    """

    bias = None
    factors: tuple[float, ...]

    @property
    def terms(self) -> int:
        """Number of inputs."""
        return len(self.factors)

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return torch.stack([f * x for f, x in zip(self.factors, xs, strict=True)]).sum(0)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return torch.stack([abs(f) * r for f, r in zip(self.factors, rs, strict=True)]).sum(0)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return tuple(f * a for f in self.factors)


@dataclass(frozen=True, eq=False)
class Reshape(Operator):
    """The same numbers in another shape.

    Args:
        before: shape of one row of the input.
        after: shape of one row of the output.
    """

    bias = None
    exact = True
    before: Shape
    after: Shape

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return xs[0].reshape(len(xs[0]), *self.after)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self.linear(rs)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (a.reshape(len(a), *self.before),)


@dataclass(frozen=True, eq=False)
class Permute(Operator):
    """The axes in another order.

    Args:
        order: as of `Tensor.permute`, the rows staying first.
    """

    bias = None
    exact = True
    order: Shape

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return xs[0].permute(self.order)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self.linear(rs)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (a.permute([self.order.index(i) for i in range(len(self.order))]),)


@dataclass(frozen=True, eq=False)
class Mean(Operator):
    """The sum over some axes times a factor: global average pooling.

    Args:
        axes: positive, rows not among them.
        before: shape of one row of the input.
        keep: whether the axes stay with length one.
        factor: one over the number of summed entries for a mean, one for a sum.
    """

    bias = None
    axes: Shape
    before: Shape
    keep: bool
    factor: float

    @property
    def terms(self) -> int:
        """Number of summed entries."""
        return prod(self.before[i - 1] for i in self.axes)

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        found = xs[0].sum(self.axes, keepdim=self.keep) * self.factor
        return found if found.dim() > 1 else found[:, None]  # one number is an axis of length one

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self.linear(rs)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        kept = [1 if i + 1 in self.axes else n for i, n in enumerate(self.before)]
        return (a.reshape(len(a), *kept).expand(len(a), *self.before) * self.factor,)
