"""Coefficients in float64 on their way back through an image network, in columns.

There is one column for each question, and the questions stand last in memory: a convolution is a
few products of matrices (`network/columns.py`), and what a bend multiplies is the same for long
runs of numbers. Nothing here is rounded outward: `rough.py` and `reference.py` say what a
coefficient costs, for sums in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.rough import Ready
from holdfast.certify.network.bends import Bend
from holdfast.certify.network.columns import Transposed
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.operators import Convolution, Dense, Operator
from holdfast.certify.network.rearrange import Reshape, Total
from holdfast.ops.interval import gamma

IMAGE = 3  # axes of an image: channels, height, width
ORDER = (1, 0, 2)  # where they stand in columns; its own inverse


def carries(graph: Graph) -> bool:
    """Whether a network has convolutions that gain by columns."""
    return any(_short(node.operator) is not None for node in graph.nodes)


def below(bounds: Ready, start: int, a: Tensor, first: Tensor | None) -> Tensor:
    """`(B, m)`: numbers below `a . (value - reference)`: those of `rough.lower`.

    Args:
        bounds: ready for float64.
        start: position of the value asked about.
        a: `(B, m, *shape)`.
        first: the coefficients on the only parent of `start`, if already known.
    """
    nodes = bounds.graph.nodes
    way = Columns(bounds, bounds.lost[:, None].repeat(1, a.shape[1]), {start: _column(a)})
    if first is not None:
        way.first = _column(first)
    for i in range(start, -1, -1):
        if i in way.waiting:
            way.through(i)
            way.first = None
    sums = 2 * len(nodes) + max(prod(node.shape) for node in nodes)
    return -way.found * (1 + 2 * gamma(sums + 8))


@dataclass
class Columns:
    """Coefficients `(*shape, B, m)` of m questions about each row; images lie as `(H, C, W)`.

    Args:
        bounds: ready for float64.
        found: `(B, m)` what all coefficients cost.
        waiting: coefficients by position.
        first: those on the only parent of the next node, if already known.
        around: by position, zeros in the midst of which coefficients lie.
    """

    bounds: Ready
    found: Tensor
    waiting: dict[int, Tensor]
    first: Tensor | None = None
    around: dict[int, Tensor] = field(default_factory=dict)

    def through(self, i: int) -> None:
        """Hand coefficients of a node to its parents, and count what they cost."""
        node, a, cost = self.bounds.graph.nodes[i], self.waiting.pop(i), self.bounds.errors[i]
        around, size = self.around.pop(i, None), None if cost is None else a.abs()
        if isinstance(node.operator, Bend) and size is not None:
            self._bend(i, node, a, size)
        elif isinstance(node.operator, Operator):
            known = None if self.first is None else [self.first]
            parts = _affine(node, node.operator, a, around) if known is None else known
            for p, part in zip(node.parents, parts, strict=True):
                self._give(p, part)
        if size is not None and cost is not None:
            lines = _plane(cost).flatten(0, -3).permute(1, 2, 0)
            self.found += torch.bmm(lines, size.flatten(0, -3).transpose(0, 1)).squeeze(1)

    def _give(self, p: int, part: Tensor) -> None:
        self.around.pop(p, None)
        self.waiting[p] = self.waiting[p] + part if p in self.waiting else part

    def _bend(self, i: int, node: Node, a: Tensor, size: Tensor) -> None:
        """The coefficients behind a bend, written where the next operator wants them."""
        middle = self.bounds.middles[i]
        for p, mean, tilt in zip(node.parents, middle.mean, middle.tilt, strict=True):
            short = _short(self.bounds.graph.nodes[p].operator)
            if short is None or p in self.waiting:
                part = torch.mul(a, _plane(mean)).addcmul_(size, _plane(tilt))
                self._give(p, part)
                continue
            around, place = short.place(a, prod(a.shape[-2:]))
            part = torch.mul(a, _plane(mean), out=place.unflatten(-1, a.shape[-2:]))
            self.waiting[p], self.around[p] = part.addcmul_(size, _plane(tilt)), around


def _affine(node: Node, op: Operator, a: Tensor, around: Tensor | None) -> Sequence[Tensor]:
    """Coefficients on the parents of an affine node."""
    ends, flat, short = a.shape[-2:], a.flatten(-2), _short(op)
    if short is not None:
        if around is None:
            around, place = short.place(flat, flat.shape[-1])
            place.copy_(flat)
        return (short.back(around).unflatten(-1, ends),)
    if isinstance(op, Dense) and len(node.shape) == 1:
        return ((op.weight.T @ flat).unflatten(-1, ends),)
    if isinstance(op, Total):
        return [a if f == 1 else f * a for f in op.factors]
    if isinstance(op, Reshape) and len(node.shape) != IMAGE:
        found = a.reshape(*op.before, *ends)
        return (found.permute(*_axes(len(op.before)), -2, -1).contiguous(),)
    rows = a.permute(-2, -1, *_axes(len(node.shape))).flatten(0, 1)
    return [_column(part.unflatten(0, ends)) for part in op.back(rows.contiguous())]


def _short(op: object) -> Transposed | None:
    return op.columns if isinstance(op, Convolution) else None


def _axes(count: int) -> Sequence[int]:
    return ORDER if count == IMAGE else range(count)


def _column(a: Tensor) -> Tensor:
    """`(*shape, B, m)` of `(B, m, *shape)`."""
    return a.permute(*(k + 2 for k in _axes(a.dim() - 2)), 0, 1).contiguous()


def _plane(values: Tensor) -> Tensor:
    """`(*shape, B, 1)` of `(B, *shape)`."""
    return values.permute(*(k + 1 for k in _axes(values.dim() - 1)), 0).unsqueeze(-1)
