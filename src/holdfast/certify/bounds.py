"""Bounds on every value of a network over a region: boxes forward, linear bounds backward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.graph import Graph, Node
from holdfast.certify.region import Region
from holdfast.ops.batch import chunks
from holdfast.ops.interval import TINY, UNIT, Box, affine, gamma, intersect, relu
from holdfast.ops.linear import Lines, lower_on_box, relu_lines

Intermediate = Literal["ibp", "crown"]
NUMBERS = 2**20  # float64 coefficients held at once: 8 MiB per copy
MATRIX = 2**23  # entries of the matrix of one operator that are held: 64 MiB
ALONE = 32  # from this many coefficients per row on, rows are taken one by one


@dataclass(frozen=True, eq=False)
class Bounds:
    """What is known of each value of a network.

    Args:
        graph: the network.
        region: its inputs.
        boxes: ends `(B, ...)` of each node.
        lines: around each ReLU, by position of the ReLU.
        peaks: `(B,)` per node, the largest sum of absolute terms in one coordinate; it turns
            coefficients into rounding errors.
    """

    graph: Graph
    region: Region
    boxes: list[Box]
    lines: dict[int, Lines]
    peaks: list[Tensor]


def propagate(graph: Graph, region: Region, intermediate: Intermediate) -> Bounds:
    """Boxes of all nodes in order of evaluation.

    With `crown`, the values before each ReLU whose sign the boxes leave open are bounded once
    more by a backward pass and the better ends are kept, so that the boxes behind it shrink too.
    Where the region is a ball, this is done with `ibp` as well for values affine in the input,
    because there the dual norm is exact.
    """
    bounds = Bounds(graph, region, [], {}, [])
    unsure = set(graph.relus) - (graph.exact if region.radius is None else frozenset())
    for i, node in enumerate(graph.nodes):
        parents = [bounds.boxes[p] for p in node.parents]
        if node.is_input:
            box = region.box
            bounds.peaks.append(_peak(box.magnitude))
        elif node.operator is None:
            box = relu(parents[0])
            bounds.lines[i] = relu_lines(parents[0])
            bounds.peaks.append(_peak(parents[0].magnitude))
        else:
            op = node.operator
            box = affine(parents, op.linear, op.spread, op.bias, op.terms)
            mass = op.spread([b.magnitude for b in parents])
            bounds.peaks.append(_peak(mass if op.bias is None else mass + op.bias.abs()))
        bounds.boxes.append(box)
        if i in unsure and (intermediate == "crown" or i in graph.affine):
            bounds.boxes[i] = _refined(bounds, i)
    return bounds


def _peak(mass: Tensor) -> Tensor:
    return mass.flatten(1).amax(1)


def _refined(bounds: Bounds, i: int) -> Box:
    """The box of a node, tightened by backward bounds where it crosses zero."""
    box = bounds.boxes[i]
    flat = box.flat()
    row, unit = ((flat.low < 0) & (flat.high > 0)).nonzero().unbind(1)
    low, high = flat.low.clone(), flat.high.clone()
    shape = bounds.graph.nodes[i].shape
    matrix = _matrix(bounds.graph, i) if len(unit) else None
    for part in parts(row, len(low), _limit(bounds.graph) // 2):
        a = torch.zeros(len(row[part]), flat.low.shape[1], dtype=low.dtype, device=low.device)
        a.scatter_(1, unit[part][:, None], 1.0)
        owner = row[part].repeat(2)
        both_ways = torch.cat([a, -a]).reshape(-1, *shape)
        first = None
        if matrix is not None:
            first = matrix[unit[part]]
            first = torch.cat([first, -first])
        both = lower_bound(bounds, i, both_ways, owner, relax=True, first=first)
        below, above = both.chunk(2)
        low[row[part], unit[part]], high[row[part], unit[part]] = below, -above
    return intersect(box, Box(low.reshape(box.low.shape), high.reshape(box.high.shape)))


def _matrix(graph: Graph, i: int) -> Tensor | None:
    """The rows of an affine node's matrix, shared by all rows of the batch; None if too large."""
    node = graph.nodes[i]
    if node.operator is None or len(node.parents) != 1:
        return None
    size = prod(node.shape)
    if size * prod(graph.nodes[node.parents[0]].shape) > MATRIX:
        return None
    device = None if node.operator.bias is None else node.operator.bias.device
    ones = torch.eye(size, dtype=torch.float64, device=device).reshape(size, *node.shape)
    return torch.cat([node.operator.back(ones[part])[0] for part in chunks(size, _limit(graph))])


def _limit(graph: Graph) -> int:
    """How many coefficient rows fit into memory at once."""
    return max(2, NUMBERS // max(prod(node.shape) for node in graph.nodes))


def parts(owner: Tensor, count: int, limit: int) -> Iterator[slice]:
    """Slices of at most `limit` of the coefficients, sorted by owner.

    Where each of `count` rows has many of them a slice never spans two rows, so that what is
    known of the row is broadcast instead of copied.
    """
    total = len(owner)
    many = total >= ALONE * count
    ends = torch.bincount(owner, minlength=count).cumsum(0).tolist() if many else [total]
    start = 0
    for end in ends:
        while start < end:
            yield slice(start, min(start + limit, end))
            start = min(start + limit, end)


def lower_bound(
    bounds: Bounds,
    start: int,
    a: Tensor,
    owner: Tensor,
    *,
    relax: bool,
    first: Tensor | None = None,
) -> Tensor:
    """`(P,)`: numbers below `a . value` for every input of the owner's region.

    Coefficients travel from the value back to the input. Through an affine operator they are
    multiplied by its matrix, which loses nothing. Through a ReLU they take the line that bounds
    from below: the lower line where they are positive, the upper line where they are negative.
    Without `relax` they stop at each ReLU, whose box bounds the rest: interval bounds with the
    last affine layers merged into the question.

    Each step's rounding error is at most gamma times the sum of absolute products, which is at
    most the sum of absolute coefficients times the peak of the node; these errors are summed and
    subtracted in the end.

    Args:
        bounds: what is known of the nodes up to `start`.
        start: position of the value asked about.
        a: `(P, *shape)` coefficients.
        owner: `(P,)` the row each of them is about.
        relax: whether to pass through ReLUs.
        first: `(P, ...)` the coefficients on the only parent of `start`, if already known.
    """
    single = len(owner) > 0 and bool((owner == owner[0]).all())
    rows: Tensor | slice = slice(int(owner[0]), int(owner[0]) + 1) if single else owner
    waiting: dict[int, Tensor] = {start: a}
    total = torch.zeros(len(a), dtype=a.dtype, device=a.device)
    mass, error = torch.zeros_like(total), torch.zeros_like(total)
    for i in range(start, -1, -1):
        if i not in waiting:
            continue
        a, node = waiting.pop(i), bounds.graph.nodes[i]
        if not node.is_input:
            reach = a.flatten(1).abs().sum(1) * bounds.peaks[i][rows]
            size = prod(node.shape) + sum(prod(bounds.graph.nodes[p].shape) for p in node.parents)
            error = error + 4 * gamma(size + 16) * reach
            mass = mass + reach
        if node.is_input:
            found = bounds.region.lower(a, rows)
            total, mass = total + found, mass + found.abs()
        elif node.is_relu and not relax:
            found = lower_on_box(a.flatten(1), bounds.boxes[i].take(rows).flat())
            total, mass = total + found, mass + found.abs()
        elif node.is_relu:
            lines = Lines(*(line[rows] for line in bounds.lines[i]))
            negative = a.clamp(max=0)
            offset = (negative * lines.upper_offset).flatten(1).sum(1)
            _give(waiting, node.parents[0], a.clamp(min=0) * lines.lower_slope
                  + negative * lines.upper_slope)  # fmt: skip
            # Slopes lie in [0, 1] and offsets within the magnitude of the box.
            total = total + offset
        else:
            total = total + _backwards(waiting, node, a, first if i == start else None)
    steps = len(bounds.graph.nodes) + 8
    return total - 2 * error - 4 * steps * UNIT * (mass + total.abs()) - TINY


def _backwards(
    waiting: dict[int, Tensor], node: Node, a: Tensor, known: Tensor | None
) -> Tensor | float:
    """Hand coefficients to the parents of an affine node; returns the bias's part `(P,)`."""
    op = node.operator
    if op is None:
        return 0.0
    found = op.back(a) if known is None else (known,)
    for parent, part in zip(node.parents, found, strict=True):
        _give(waiting, parent, part)
    return 0.0 if op.bias is None else (a * op.bias).flatten(1).sum(1)


def _give(waiting: dict[int, Tensor], node: int, a: Tensor) -> None:
    """Coefficients of a value used in several places add up."""
    waiting[node] = waiting[node] + a if node in waiting else a


def margins(bounds: Bounds, c: Tensor, constant: Tensor, *, relax: bool) -> Tensor:
    """`(B, W)`: upper bounds of `c z + constant` of the logits z; infinite where unknown.

    Args:
        bounds: of the network.
        c: `(B, W, K)`.
        constant: `(B, W)`; -inf marks a way that is closed.
        relax: whether to pass through ReLUs.
    """
    count, ways, classes = c.shape
    owner = torch.arange(count, device=c.device).repeat_interleave(ways)
    flat = -c.reshape(-1, classes)
    found = [
        lower_bound(bounds, bounds.graph.output, flat[part], owner[part], relax=relax)
        for part in parts(owner, count, _limit(bounds.graph))
    ]
    below = torch.cat(found).reshape(count, ways)
    upper = torch.nextafter(constant - below, torch.full_like(below, torch.inf))
    # An overflow proves nothing, in whichever direction it went.
    unknown = ~below.isfinite() & (constant != -torch.inf)
    return upper.masked_fill(unknown, torch.inf)
