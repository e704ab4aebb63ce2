"""A network as a graph of affine operators and ReLUs, in order of evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.operators import Convolution, Dense, Operator, Scale, Shape
from holdfast.certify.rearrange import Permute, Reshape
from holdfast.ops.interval import UNIT

SHORTCUTS = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}  # TF32, bfloat16


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the network.

    Args:
        operator: how it comes from its parents; None for the input and for a ReLU.
        parents: positions of the values it is made of; none for the input.
        shape: of one row.
        unit: relative error of one rounding where the model computes this value.
        dtype: type in which the model computes this value.
    """

    operator: Operator | None
    parents: tuple[int, ...]
    shape: Shape
    unit: float = UNIT
    dtype: torch.dtype = torch.float64

    @property
    def is_input(self) -> bool:
        """Whether it is the network's input."""
        return not self.parents

    @property
    def is_relu(self) -> bool:
        """Whether it is a ReLU of its parent."""
        return self.operator is None and bool(self.parents)


def rounding_unit(operator: Operator | None, out: Tensor) -> float:
    """Relative error of one rounding in the operation that made `out`.

    Half of the distance from 1 to the next number of its type, or more where torch is allowed to
    multiply float32 in a shorter format.
    """
    unit = float(torch.finfo(out.dtype).eps) / 2
    if out.dtype != torch.float32:
        return unit
    if isinstance(operator, Dense):
        return max(unit, SHORTCUTS[torch.get_float32_matmul_precision()])
    if isinstance(operator, Convolution) and out.is_cuda and torch.backends.cudnn.allow_tf32:
        return SHORTCUTS["high"]
    return unit


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: node 0 is the input, every node follows its parents.

    Args:
        nodes: in order of evaluation.
        output: position of the logits.
    """

    nodes: tuple[Node, ...]
    output: int

    def __call__(self, x: Tensor) -> Tensor:
        """The network itself, in float64."""
        values = [x.double()]
        for node in self.nodes[1:]:
            inputs = [values[p] for p in node.parents]
            if node.operator is None:
                values.append(torch.relu(inputs[0]))
            else:
                value = node.operator.linear(inputs)
                bias = node.operator.bias
                values.append(value if bias is None else value + bias)
        return values[self.output]

    @property
    def relus(self) -> tuple[int, ...]:
        """Positions of the values that go into a ReLU, each once, in order."""
        return tuple(sorted({n.parents[0] for n in self.nodes if n.is_relu}))

    @property
    def affine(self) -> frozenset[int]:
        """Positions of the values that are affine in the input."""
        found: set[int] = set()
        for i, node in enumerate(self.nodes):
            if node.is_input or (node.operator is not None and found >= set(node.parents)):
                found.add(i)
        return frozenset(found)

    @property
    def exact(self) -> frozenset[int]:
        """Positions where box arithmetic over a box of inputs loses nothing.

        The coordinates of the input vary independently, and still do after scaling and
        reordering; one affine operation on independent coordinates is exact.
        """
        free: set[int] = set()
        found: set[int] = set()
        for i, node in enumerate(self.nodes):
            alone = len(node.parents) == 1 and node.parents[0] in free
            if node.is_input or (alone and isinstance(node.operator, Scale | Reshape | Permute)):
                free.add(i)
            if i in free or (alone and node.operator is not None):
                found.add(i)
        return frozenset(found)
