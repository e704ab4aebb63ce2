"""Bounds on every value of a network over a region: boxes forward, refined by linear bounds.

The bounds hold for what the model computes, not only for real numbers: each node's box is
widened by all that sums of products can lose when they are rounded in the node's own type, in
whatever order they are added, and rows on which a value may leave the range of its type are
never proved. What is not covered are algorithms that multiply other numbers than those of the
formula (Winograd or Fourier convolutions).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.backward import Bounds, lower_bound
from holdfast.certify.graph import Graph, Node
from holdfast.certify.region import Region
from holdfast.ops.batch import chunks
from holdfast.ops.interval import Box, affine, gamma, intersect, relu, widen
from holdfast.ops.linear import relu_lines

Intermediate = Literal["ibp", "crown"]
NUMBERS = 2**20  # float64 coefficients held at once: 8 MiB per copy
MATRIX = 2**23  # entries of the matrix of one operator that are held: 64 MiB
ALONE = 32  # from this many coefficients per row on, rows are taken one by one
ROUNDINGS = 8  # of one output besides its sum: bias, factors made of several numbers, casts


def propagate(graph: Graph, region: Region, intermediate: Intermediate) -> Bounds:
    """Boxes of all nodes in order of evaluation.

    With `crown`, the values before each ReLU whose sign the boxes leave open are bounded once
    more by a backward pass and the better ends are kept, so that the boxes behind it shrink too.
    Where the region is a ball, this is done with `ibp` as well for values affine in the input,
    because there the dual norm is exact.
    """
    overflow = torch.zeros(len(region.centre), dtype=torch.bool, device=region.centre.device)
    bounds = Bounds(graph, region, [], {}, [], [], overflow)
    unsure = set(graph.relus) - (graph.exact if region.radius is None else frozenset())
    for i, node in enumerate(graph.nodes):
        parents = [bounds.boxes[p] for p in node.parents]
        error: Tensor | None = None
        if node.is_input:
            box = region.box
            peak = _peak(box.magnitude)
        elif node.operator is None:
            box = relu(parents[0])
            bounds.lines[i] = relu_lines(parents[0])
            peak = _peak(parents[0].magnitude)
        else:
            op = node.operator
            box = affine(parents, op.linear, op.spread, op.bias, op.terms)
            mass = op.spread([b.magnitude for b in parents])
            mass = mass if op.bias is None else mass + op.bias.abs()
            peak, error = _peak(mass), _error(node, mass)
            box = box if error is None else widen(box.low, box.high, error)
        bounds.peaks.append(peak)
        bounds.errors.append(error)
        bounds.boxes.append(box)
        # The sum of absolute terms bounds every partial sum, in any order.
        bounds.overflow.logical_or_(~(peak < torch.finfo(node.dtype).max / 4))
        if i in unsure and (intermediate == "crown" or i in graph.affine):
            bounds.boxes[i] = _refined(bounds, i)
    return bounds


def _error(node: Node, mass: Tensor) -> Tensor | None:
    """How far the model's own result of an affine node may lie from the exact one.

    The second part is what underflow loses, flushed to zero or not.
    """
    if node.operator is None or node.unit == 0:
        return None
    terms = node.operator.terms + ROUNDINGS
    return gamma(terms, node.unit) * mass + terms * torch.finfo(node.dtype).tiny


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
    unknown = (~below.isfinite() | bounds.overflow[:, None]) & (constant != -torch.inf)
    return upper.masked_fill(unknown, torch.inf)
