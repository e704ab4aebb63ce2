"""What is known of a network's values, and coefficients on their way back through it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import NamedTuple, Self

import torch
from torch import Tensor

from holdfast.certify.linear.hull import Hull
from holdfast.certify.linear.region import Region
from holdfast.certify.network.bends import Planes, Relu
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.operators import Operator
from holdfast.ops.interval import TINY, UNIT, Box, Index, gamma


@dataclass(frozen=True, eq=False)
class Bounds:
    """What is known of each value of a network, as the model computes it in its own type.

    Args:
        graph: the network.
        region: its inputs.
        boxes: ends `(B, ...)` of each node.
        planes: around each bend, by its position.
        peaks: `(B,)` per node, the largest sum of absolute terms in one coordinate; it turns
            coefficients into rounding errors.
        errors: `(B, ...)` per node, how far what the model computes may lie from the exact
            result of the operation; None where nothing is rounded.
        overflow: `(B,)` bool, rows on which a value may leave the range of its type.
        masses: `(B, ...)` per node, sums of absolute terms in each coordinate; may be left out.
        hulls: by position of a ReLU, planes above neurons of it that are taken where their sign is
            open: then the plane above has their offset, and the slope zero.
    """

    graph: Graph
    region: Region
    boxes: list[Box]
    planes: dict[int, Planes]
    peaks: list[Tensor]
    errors: list[Tensor | None]
    overflow: Tensor
    masses: list[Tensor] = field(default_factory=list)
    hulls: dict[int, Hull] = field(default_factory=dict, kw_only=True)

    def meant(self, i: int) -> tuple[int, ...]:
        """The values that a node's planes speak of: its parents, and what its neurons see."""
        parents = self.graph.nodes[i].parents
        return (*parents, self.hulls[i].over) if i in self.hulls else parents

    def take(self, rows: Index) -> Bounds:
        """What is known of a selection of rows."""
        return replace(
            self,
            region=self.region.take(rows),
            boxes=[box.take(rows) for box in self.boxes],
            planes={i: planes.take(rows) for i, planes in self.planes.items()},
            peaks=[peak[rows] for peak in self.peaks],
            errors=[None if error is None else error[rows] for error in self.errors],
            overflow=self.overflow[rows],
            masses=[mass[rows] for mass in self.masses],
            hulls={i: hull.take(rows) for i, hull in self.hulls.items()},
        )


class Linear(NamedTuple):
    """`slope . x + offset - slack`: functions of the input below what was asked about.

    Args:
        slope: `(B, m, ...)` of the input's shape.
        offset: `(B, m)`.
        slack: `(B, m)` what rounding may lose, its own included.
    """

    slope: Tensor
    offset: Tensor
    slack: Tensor


@dataclass
class Carried:
    """What has been gathered on the way back."""

    bounds: Bounds
    waiting: dict[int, Tensor]
    sizes: dict[int, Tensor | None]  # of what waits, numbers above the sums of absolute values
    offset: Tensor
    mass: Tensor  # of absolute terms of the offset
    error: Tensor  # of the arithmetic here
    theirs: Tensor  # of the model's own arithmetic

    @classmethod
    def start(cls, bounds: Bounds, start: int, a: Tensor) -> Self:
        none = torch.zeros(a.shape[:2], dtype=a.dtype, device=a.device)
        return cls(bounds, {start: a}, {}, none, none, none, none)

    @torch.no_grad()
    def charge(self, i: int, node: Node, a: Tensor, total: Tensor) -> None:
        """Add what rounding may lose at a node."""
        if isinstance(node.operator, Operator) and node.operator.exact:
            return
        bounds = self.bounds
        reach = total * bounds.peaks[i][:, None]
        size = prod(node.shape) + sum(prod(bounds.graph.nodes[p].shape) for p in node.parents)
        self.error = self.error + 4 * gamma(size + 16) * reach
        self.mass = self.mass + reach
        error = bounds.errors[i]
        if error is not None:
            self.theirs = self.theirs + dot(a.detach().abs(), error)

    def affine(self, i: int, node: Node, a: Tensor, size: Tensor, known: Tensor | None) -> None:
        """Hand coefficients to the parents of an affine node."""
        op = node.operator
        if not isinstance(op, Operator):
            return
        lead = a.shape[:2]
        found = op.back(a.flatten(0, 1)) if known is None else (known.flatten(0, 1),)
        for parent, part in zip(node.parents, found, strict=True):
            self.give(parent, part.unflatten(0, lead), size if op.exact else None)
        if op.bias is not None:
            bias = op.bias.expand(node.shape).flatten()
            self.offset = self.offset + a.flatten(2) @ bias

    def bend(self, node: Node, a: Tensor, size: Tensor, planes: Planes) -> None:
        """Hand coefficients to the parents of a bend, by the plane that lies below."""
        down = a.clamp(max=0)
        for parent, below, above in zip(node.parents, planes.below, planes.above, strict=True):
            low, high = _row(below, a), _row(above, a)
            steep = torch.maximum(low.detach().abs(), high.detach().abs()).flatten(2).amax(2)
            self.give(parent, torch.addcmul(a * low, down, high - low), size * steep)
        high = planes.above_offset
        if not isinstance(node.operator, Relu):  # its line below passes through the origin
            low = planes.below_offset
            self.offset, high = self.offset + dot(a, low), high - low
        self.offset = self.offset + dot(down, high)

    def over(self, i: int, a: Tensor) -> None:
        """Hand coefficients of a ReLU to what its neurons see, by the planes that lie above.

        They pass the neurons by, whose own roundings, and ours, are those of their coefficients.
        """
        hull, nodes = self.bounds.hulls[i], self.bounds.graph.nodes
        (p,) = nodes[i].parents
        low, high = self.bounds.boxes[p]
        down = a.clamp(max=0) * ((low < 0) & (high > 0))[:, None]
        self.charge(p, nodes[p], down, total(down))
        self.give(hull.over, hull.slopes.back(down), None)

    def stop(self, i: int, a: Tensor) -> None:
        """Bound what reaches a bend by its box."""
        low, high = self.bounds.boxes[i]
        self.offset = self.offset + dot(a.clamp(min=0), low) + dot(a.clamp(max=0), high)

    def give(self, node: int, a: Tensor, size: Tensor | None) -> None:
        """Coefficients of a value used in several places add up."""
        if node in self.waiting:
            other = self.sizes[node]
            a = self.waiting[node] + a
            size = None if size is None or other is None else size + other
        self.waiting[node], self.sizes[node] = a, size

    def finish(self, a: Tensor) -> Linear:
        steps = len(self.bounds.graph.nodes) + 8
        mass = self.mass + self.offset.detach().abs() + self.theirs
        ours = 2 * self.error + 4 * steps * UNIT * mass + TINY
        return Linear(a, self.offset, ours + self.theirs * (1 + 1e-9))


def total(a: Tensor) -> Tensor:
    """`(B, m)`: sums of absolute coefficients; much faster than a norm of short rows."""
    return a.detach().flatten(2).abs() @ a.new_ones(prod(a.shape[2:]))


def dot(a: Tensor, values: Tensor) -> Tensor:
    """`(B, m)`: products of coefficients with the values of their row, or with their own."""
    if values.dim() == a.dim():
        return (a * values).flatten(2).sum(2)
    return (values.flatten(1)[:, None] @ a.flatten(2).mT).squeeze(1)


def _row(values: Tensor, a: Tensor) -> Tensor:
    """Values of a row, ready to meet each of its questions."""
    return values if values.dim() == a.dim() else values[:, None]
