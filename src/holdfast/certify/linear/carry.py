"""Coefficients on their way back through an image network, in columns.

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

from holdfast.certify.linear.rough import SUMMED, Ready
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


def ends(bounds: Ready, start: int, a: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
    """`(B, m)`: numbers below `a . (value - reference)`, and above: those of `rough.lower`.

    Args:
        bounds: ready for the type of the coefficients.
        start: position of the value asked about.
        a: `(B, m, *shape)`.
        first: the coefficients on the only parent of `start`, if already known.
    """
    nodes = bounds.graph.nodes
    lost = bounds.lost[:, None].repeat(1, a.shape[1])
    way = Columns(bounds, lost, torch.zeros_like(lost), {start: _column(a)})
    if first is not None:
        way.first = _column(first)
    for i in range(start, -1, -1):
        if i in way.waiting:
            way.through(i)
            way.first = None
    sums = 2 * len(nodes) + SUMMED + max(prod(node.shape) for node in nodes) // SUMMED
    sums += max((len(short.matrices) for n in nodes if (short := _short(n.operator))), default=0)
    sums += max(c * w + h for c, h, w in (n.shape for n in nodes if len(n.shape) == IMAGE))
    share = 1 + 2 * gamma(sums + 8, torch.finfo(a.dtype).eps / 2)
    above = way.found + way.more if bounds.gaps else torch.full_like(way.found, torch.inf)
    return -way.found * share, above * share


@dataclass
class Columns:
    """Coefficients `(*shape, B, m)` of m questions about each row; images lie as `(H, C, W)`.

    Args:
        bounds: ready for the type of the coefficients.
        found: `(B, m)` what all coefficients cost.
        more: `(B, m)` by how much more they may raise a value.
        waiting: coefficients by position.
        first: those on the only parent of the next node, if already known.
        around: by position, zeros in the midst of which coefficients lie.
    """

    bounds: Ready
    found: Tensor
    more: Tensor
    waiting: dict[int, Tensor]
    first: Tensor | None = None
    around: dict[int, Tensor] = field(default_factory=dict)

    def through(self, i: int) -> None:
        """Hand coefficients of a node to its parents, and count what they cost."""
        node, a, cost = self.bounds.graph.nodes[i], self.waiting.pop(i), self.bounds.errors[i]
        around, size = self.around.pop(i, None), None if cost is None else a.abs()
        if isinstance(node.operator, Bend) and size is not None:
            if i in self.bounds.gaps:
                self.more = self.more + _sum(size, self.bounds.gaps[i])
            self._bend(i, node, a, size)
        elif isinstance(node.operator, Operator) and not self._last(node, a, around):
            known = None if self.first is None else [self.first]
            parts = _affine(node, node.operator, a, around) if known is None else known
            for p, part in zip(node.parents, parts, strict=True):
                self._give(p, part)
        if size is not None and cost is not None:
            self.found = self.found + _sum(size, cost)

    def _last(self, node: Node, a: Tensor, around: Tensor | None) -> bool:
        """Whether only the input is left, and nothing to do but to add up what it costs."""
        graph, op = self.bounds.graph, _convolution(node)
        cost = self.bounds.errors[0]
        if op is None or node.parents != (0,) or graph.uses[0] > 1 or cost is None:
            return False
        if self.first is not None or op.columns is None:
            return False
        flat, ends, plane = a.flatten(-2), a.shape[-2:], _plane(cost)
        if around is None:
            around, place = op.columns.place(flat, flat.shape[-1])
            place.copy_(flat)
        high, wide = op.columns.stride
        for row, some, part in op.columns.parts(around):
            size, own = part.unflatten(-1, ends).abs_(), plane[row.first :: high]
            own = own[: row.number, :, some.first :: wide][:, :, : some.number]
            self.found = self.found + (size * own).flatten(1, 2).sum(1).double().sum(0)
        return True

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


def _sum(size: Tensor, cost: Tensor) -> Tensor:
    """`(B, m)` float64: products of positive numbers, few at a time in float32."""
    lines, sizes = _plane(cost).flatten(0, -3).permute(1, 2, 0), size.flatten(0, -3)
    parts = zip(lines.split(SUMMED, 2), sizes.split(SUMMED), strict=True)
    found = [torch.bmm(line, part.transpose(0, 1)).squeeze(1).double() for line, part in parts]
    return torch.stack(found).sum(0)


def _convolution(node: Node) -> Convolution | None:
    return node.operator if isinstance(node.operator, Convolution) else None


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
