"""Convolutions with a kernel of their own at each place; a dense layer is one with one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import PLANE, Convolution, Dense, Operator, Shape


@dataclass(frozen=True, eq=False)
class Local(Operator):
    """`sum_k w_k z_k` of what each neuron sees, neurons at one place of the same window.

    Args:
        weight: `(places, channels, window)`.
        shape: of the result, one row.
        before: of what is seen, one row.
        layout: a convolution that says where windows lie; None where each sees everything.
        bias: `(*shape)` or None.
    """

    weight: Tensor
    shape: Shape
    before: Shape
    layout: Convolution | None
    bias: Tensor | None = None

    @staticmethod
    def of(graph: Graph, i: int) -> Local | None:
        """An affine node of one parent, the same at all places to begin with, if it is covered."""
        node = graph.nodes[i]
        op, shape = node.operator, node.shape
        if not isinstance(op, Dense | Convolution):
            return None
        before = graph.nodes[node.parents[0]].shape
        bias = None if op.bias is None else op.bias.expand(shape)
        if isinstance(op, Dense):
            return Local(op.weight[None], shape, before, None, bias) if len(shape) == 1 else None
        if len(op.size) != PLANE or op.groups > 1:
            return None
        weight = op.weight.flatten(1).expand(prod(shape[1:]), -1, -1)
        return Local(weight, shape, before, op, bias)

    @property
    def terms(self) -> int:
        """Numbers in a window."""
        return self.weight.shape[2]

    def weighted(self, weight: Tensor) -> Local:
        """The same windows with other kernels, and no bias."""
        return replace(self, weight=weight, bias=None)

    def rough(self) -> Local:
        """The same in float32."""
        bias = None if self.bias is None else self.bias.float()
        return replace(self, weight=self.weight.float(), bias=bias)

    def seen(self, z: Tensor) -> Tensor:
        """`(places, N, window)`: what lies in the windows of `(N, *before)`."""
        if self.layout is None:
            return z.flatten(1)[None]
        op = self.layout
        kernel = tuple(op.weight.shape[2:])
        return F.unfold(z, kernel, op.dilation, op.padding, op.stride).permute(2, 0, 1)

    def laid(self, values: Tensor) -> Tensor:
        """`(places, N, channels)`: values `(N, *shape)` by places."""
        return values.reshape(len(values), -1, len(self.weight)).permute(2, 0, 1)

    def spread_out(self, values: Tensor) -> Tensor:
        """`(1, *shape)`: values `(places, channels)` of one row."""
        return values.T.reshape(1, *self.shape)

    def linear(self, xs: Sequence[Tensor]) -> Tensor:
        return self._forth(xs[0], self.weight)

    def spread(self, rs: Sequence[Tensor]) -> Tensor:
        return self._forth(rs[0], self.weight.abs())

    def _forth(self, z: Tensor, weight: Tensor) -> Tensor:
        return (self.seen(z) @ weight.mT).permute(1, 2, 0).reshape(len(z), *self.shape)

    def back(self, a: Tensor) -> tuple[Tensor, ...]:
        lines, op = self.laid(a) @ self.weight, self.layout
        if op is None:
            return (lines[0].reshape(len(a), *self.before),)
        kernel = tuple(op.weight.shape[2:])
        lines = lines.permute(1, 2, 0)
        return (F.fold(lines, op.size, kernel, op.dilation, op.padding, op.stride),)
