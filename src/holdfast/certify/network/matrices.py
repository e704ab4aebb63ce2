"""Affine operators over pixels and frames: resampling, transposed convolution, folded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from holdfast.certify.network.operators import Operator, Shape


@dataclass(frozen=True, eq=False)
class Resample(Operator):
    """One matrix over the pixels of every channel: interpolation, sampling at fixed places.

    Args:
        weight: sparse `(out, in)`.
        before: shape of one row of the input, channels first.
        after: shape of one row of the output.
        terms: number of pixels in one output.
    """

    bias = None
    weight: Tensor
    before: Shape
    after: Shape
    most: int

    @property
    def terms(self) -> int:
        """Largest number of pixels in one output."""
        return self.most

    def _times(self, x: Tensor, weight: Tensor, after: Shape) -> Tensor:
        flat = x.reshape(-1, weight.shape[1])
        found: Tensor = torch.sparse.mm(weight, flat.T).T
        return found.reshape(len(x), *after)

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self._times(xs[0], self.weight, self.after)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self._times(rs[0], self.weight.abs(), self.after)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return (self._times(a, self.weight.t(), self.before),)


@dataclass(frozen=True, eq=False)
class Transposed(Operator):
    """A transposed convolution.

    Args:
        weight: `(in, out / groups, *kernel)`.
        bias: `(out, 1, ...)` or None.
        stride: per axis.
        padding: per axis.
        dilation: per axis.
        groups: channel groups.
        size: spatial size of the input.
        extra: rows and columns added at the far end, per axis.
    """

    shortcut = "convolution"
    weight: Tensor
    bias: Tensor | None
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int
    size: Shape
    extra: Shape

    @property
    def terms(self) -> int:
        """Number of inputs of one output."""
        return prod(self.weight.shape) // self.groups // self.weight.shape[1]

    def _spread_out(self, x: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = torch.ops.aten.convolution(
            x, weight, None, self.stride, self.padding, self.dilation, True, self.extra, self.groups
        )
        return found

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self._spread_out(xs[0], self.weight)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self._spread_out(rs[0], self.weight.abs())

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        found: Tensor = torch.ops.aten.convolution(
            a, self.weight, None, self.stride, self.padding, self.dilation, False,
            [0] * len(self.size), self.groups,
        )  # fmt: skip
        kept = tuple(slice(0, n) for n in self.size)
        return (found[(slice(None), slice(None), *kept)],)


@dataclass(frozen=True, eq=False)
class Each(Operator):
    """An operator on rows applied to several per row: frames folded into the batch.

    Args:
        inner: the operator.
        count: how many per row, the first axis behind the rows.
    """

    inner: Operator
    count: int

    @property
    def bias(self) -> Tensor | None:  # type: ignore[override]
        """Of the operator."""
        return self.inner.bias

    @property
    def shortcut(self) -> str:  # type: ignore[override]
        """Of the operator."""
        return self.inner.shortcut

    @property
    def terms(self) -> int:
        """Of the operator."""
        return self.inner.terms

    def _unfolded(self, t: Tensor) -> Tensor:
        return t.reshape(-1, self.count, *t.shape[1:])

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self._unfolded(self.inner.linear([x.flatten(0, 1) for x in xs]))

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self._unfolded(self.inner.spread([r.flatten(0, 1) for r in rs]))

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._unfolded(p) for p in self.inner.back(a.flatten(0, 1)))
