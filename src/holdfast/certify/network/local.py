"""Single neurons of an affine node, each with the few numbers that it sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import PLANE, Convolution, Dense, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array


MOST = 2**20  # numbers that neurons see together, each of which is counted


@dataclass(frozen=True, eq=False)
class Local:
    """K neurons `w . z + b` of a value.

    Args:
        unit: `(K,)` which.
        at: `(K, window)` where what each sees lies in one row.
        weight: `(K, window)`; 0 where a window sticks out.
        bias: `(K,)`.
        shape: of the value, one row.
        before: of what is seen, one row.
    """

    unit: Tensor
    at: Tensor
    weight: Tensor
    bias: Tensor
    shape: Shape
    before: Shape

    @staticmethod
    def of(graph: Graph, i: int, unit: Tensor) -> Local | None:
        """Neurons of an affine node of one parent, if it is covered and they see not too much."""
        node = graph.nodes[i]
        op, shape = node.operator, node.shape
        if not isinstance(op, Dense | Convolution) or len(unit) * op.terms > MOST:
            return None
        before = graph.nodes[node.parents[0]].shape
        if isinstance(op, Dense):
            if len(shape) > 1:
                return None
            weight, at = op.weight[unit], torch.arange(prod(before)).expand(len(unit), -1)
        elif len(op.size) != PLANE or op.groups > 1:
            return None
        else:
            # Windows of the positions, counted from 1: 0 is what sticks out.
            count = torch.arange(1.0, prod(before) + 1, dtype=torch.float64).reshape(1, *before)
            kernel = tuple(op.weight.shape[2:])
            windows = F.unfold(count, kernel, op.dilation, op.padding, op.stride)[0].T.long()
            places = prod(shape[1:])
            at = windows[unit % places]
            weight = op.weight.flatten(1)[unit // places].masked_fill(at == 0, 0.0)
            at = (at - 1).clamp(min=0)
        bias = weight.new_zeros(len(unit))
        if op.bias is not None:
            bias = op.bias.expand(shape).flatten()[unit]
        return Local(unit, at, weight, bias, shape, before)

    @property
    def terms(self) -> int:
        """Numbers in a window."""
        return self.weight.shape[1]

    @cached_property
    def single(self) -> Local:
        """The same in float32."""
        return replace(self, weight=self.weight.float(), bias=self.bias.float())

    def few(self, kept: Tensor) -> Local:
        """Those of `(K,)` bool."""
        return replace(
            self, unit=self.unit[kept], at=self.at[kept], weight=self.weight[kept],
            bias=self.bias[kept],
        )  # fmt: skip

    def seen(self, z: Tensor) -> Tensor:
        """`(N, K, window)`: what the neurons see of `(N, *before)`."""
        return z.flatten(1).index_select(1, self.at.flatten()).reshape(len(z), *self.at.shape)

    def own(self, values: Tensor) -> Tensor:
        """`(N, K)`: values `(N, *shape)` of the neurons alone."""
        return values.flatten(1).index_select(1, self.unit)

    def among(self, values: Tensor, others: Tensor) -> Tensor:
        """`(N, *shape)`: values `(N, K)` of the neurons, those of others as they are."""
        return others.flatten(1).index_copy(1, self.unit, values).reshape(others.shape)


@dataclass(frozen=True, eq=False)
class Kernels:
    """Linear functions of what neurons see, other ones in each of R rows.

    Questions come in the order of the rows, as many for each; whatever is no neuron counts as 0.

    Args:
        neurons: K of them.
        weight: `(R, K, window)`.
    """

    neurons: Local
    weight: Tensor

    @cached_property
    def matrix(self) -> csr_array:
        """`(R K, R n)`: one block per row."""
        from scipy.sparse import csr_array

        (rows, k, window), n = self.weight.shape, prod(self.neurons.before)
        at = self.neurons.at.int() + n * torch.arange(rows, dtype=torch.int32)[:, None, None]
        begin = torch.arange(0, rows * k * window + 1, window, dtype=torch.int32)
        parts = (self.weight.flatten().numpy(), at.flatten().numpy(), begin.numpy())
        return csr_array(parts, shape=(rows * k, rows * n))

    def back(self, a: Tensor) -> Tensor:
        """`(..., *before)`: coefficients on what is seen, of those `(..., *shape)` on neurons."""
        lead = a.shape[: a.dim() - len(self.neurons.shape)]
        found = self._times(self.neurons.own(a.reshape(-1, *self.neurons.shape)), self.matrix.T)
        return found.reshape(*lead, *self.neurons.before)

    def linear(self, z: Tensor) -> Tensor:
        """`(..., *shape)`: the functions at `(..., *before)`."""
        lead = z.shape[: z.dim() - len(self.neurons.before)]
        found = self._times(z.reshape(-1, prod(self.neurons.before)), self.matrix)
        none = z.new_zeros(len(found), *self.neurons.shape)
        return self.neurons.among(found, none).reshape(*lead, *self.neurons.shape)

    def _times(self, values: Tensor, matrix: csr_array) -> Tensor:
        """`(N, m)`: blocks times values `(N, n)`, as many in each of the rows."""
        rows, each = len(self.weight), len(values) // len(self.weight)  # there may be no neuron
        columns = values.reshape(rows, each, values.shape[1]).transpose(1, 2).flatten(0, 1)
        found = torch.from_numpy(matrix @ columns.numpy())
        return found.reshape(rows, len(found) // rows, each).transpose(1, 2).flatten(0, 1)
