"""A network as a graph of affine operators and ReLUs, in order of evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.operators import Operator, Permute, Reshape, Scale, Shape


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the network.

    Args:
        operator: how it comes from its parents; None for the input and for a ReLU.
        parents: positions of the values it is made of; none for the input.
        shape: of one row.
    """

    operator: Operator | None
    parents: tuple[int, ...]
    shape: Shape

    @property
    def is_input(self) -> bool:
        """Whether it is the network's input."""
        return not self.parents

    @property
    def is_relu(self) -> bool:
        """Whether it is a ReLU of its parent."""
        return self.operator is None and bool(self.parents)


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
