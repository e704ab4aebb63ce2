"""A network as a graph of affine operators and bends, in order of evaluation."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.network.bends import Bend, Relu
from holdfast.certify.network.known import Known
from holdfast.certify.network.operators import Operator, Scale, Shape
from holdfast.certify.network.picks import Pick
from holdfast.certify.network.rearrange import Permute, Reshape
from holdfast.ops.interval import UNIT

SHORTCUTS = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}  # TF32, bfloat16


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the network.

    Args:
        operator: how it comes from its parents, affine or a bend; None for the input.
        parents: positions of the values it is made of; none for the input.
        shape: of one row.
        unit: relative error of one rounding where the model computes this value.
        dtype: type in which the model computes this value.
        extra: further roundings of the model's own result, where it takes several steps in one.
    """

    operator: Operator | Bend | None
    parents: tuple[int, ...]
    shape: Shape
    unit: float = UNIT
    dtype: torch.dtype = torch.float64
    extra: int = 0

    @property
    def is_input(self) -> bool:
        """Whether it is the network's input."""
        return not self.parents

    @property
    def is_relu(self) -> bool:
        """Whether it is a ReLU of its parent."""
        return isinstance(self.operator, Relu)


def rounding_unit(operator: Operator | Bend | None, out: Tensor) -> float:
    """Relative error of one rounding in the operation that made `out`.

    Half of the distance from 1 to the next number of its type, or more where torch is allowed to
    multiply float32 in a shorter format.
    """
    unit = float(torch.finfo(out.dtype).eps) / 2
    if out.dtype != torch.float32:
        return unit
    shortcut = operator.shortcut if isinstance(operator, Operator) else ""
    if shortcut == "matmul":
        return max(unit, SHORTCUTS[torch.get_float32_matmul_precision()])
    if shortcut == "convolution" and out.is_cuda and torch.backends.cudnn.allow_tf32:
        return SHORTCUTS["high"]
    return unit


def _plain(node: Node) -> bool:
    """Whether a value has the numbers of its parent, each once, moved or scaled."""
    operator = node.operator
    return isinstance(operator, Scale) or (isinstance(operator, Operator) and operator.exact)


def _single(part: Any) -> Any:
    """An affine operator, or a part of one, with its numbers in float32."""
    if isinstance(part, Tensor):
        return part.float() if part.dtype == torch.float64 else part
    if isinstance(part, tuple) and not hasattr(part, "_fields"):
        return tuple(map(_single, part))
    if isinstance(part, Operator) and is_dataclass(part):
        return replace(part, **{f.name: _single(getattr(part, f.name)) for f in fields(part)})
    return part


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
            if isinstance(node.operator, Operator):
                value, bias = node.operator.linear(inputs), node.operator.bias
                values.append(value if bias is None else value + bias)
            elif node.operator is not None:
                values.append(node.operator.value(inputs))
        return values[self.output]

    @cached_property
    def uses(self) -> tuple[int, ...]:
        """How many nodes each value goes into."""
        found = [0] * len(self.nodes)
        for node in self.nodes:
            for parent in node.parents:
                found[parent] += 1
        return tuple(found)

    @cached_property
    def single(self) -> Graph:
        """The same network with its numbers rounded to float32."""
        return Graph(tuple(replace(n, operator=_single(n.operator)) for n in self.nodes),
                     self.output)  # fmt: skip

    def source(self, i: int) -> int:
        """Where the numbers of a value come from that is made by moving them, or adds nothing."""
        operator = self.nodes[i].operator
        while isinstance(operator, Reshape | Permute | Pick | Known):
            if isinstance(operator, Pick) and len(self.nodes[i].parents) > 1:
                break
            if isinstance(operator, Known) and self.nodes[i].unit:
                break
            i = self.nodes[i].parents[0]
            operator = self.nodes[i].operator
        return i

    @property
    def bent(self) -> tuple[int, ...]:
        """Positions of the values whose boxes matter to a bend, each once, in order.

        They are taken before their numbers are moved or copied.
        """
        return tuple(sorted({self.source(p) for n in self.nodes if isinstance(n.operator, Bend)
                             for p in n.parents}))  # fmt: skip

    def behind(self, i: int) -> tuple[Bend, ...]:
        """The bends that the numbers of a value go into."""
        return self._bends.get(i, ())

    @cached_property
    def _bends(self) -> dict[int, tuple[Bend, ...]]:
        found: dict[int, tuple[Bend, ...]] = {}
        for node in self.nodes:
            if isinstance(node.operator, Bend):
                for i in {self.source(p) for p in node.parents}:
                    found[i] = (*found.get(i, ()), node.operator)
        return found

    @property
    def affine(self) -> frozenset[int]:
        """Positions of the values that are affine in the input."""
        found: set[int] = set()
        for i, node in enumerate(self.nodes):
            flat = isinstance(node.operator, Operator) and found >= set(node.parents)
            if node.is_input or flat:
                found.add(i)
        return frozenset(found)

    @property
    def exact(self) -> frozenset[int]:
        """Positions where box arithmetic over a box of inputs loses nothing.

        The coordinates of the input vary independently, and still do after scaling and
        reordering; one affine operation on independent coordinates is exact, and what is scaled
        or moved behind it still attains its ends.
        """
        free: set[int] = set()
        found: set[int] = set()
        for i, node in enumerate(self.nodes):
            alone = len(node.parents) == 1 and node.parents[0] in free
            if node.is_input or (alone and _plain(node)):
                free.add(i)
            moved = len(node.parents) == 1 and node.parents[0] in found and _plain(node)
            if i in free or moved or (alone and isinstance(node.operator, Operator)):
                found.add(i)
        return frozenset(found)
