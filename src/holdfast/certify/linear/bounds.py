"""Bounds on every value of a network over a region: boxes forward, refined by linear bounds.

The bounds hold for what the model computes, not only for real numbers: each node's box is
widened by all that sums of products can lose when they are rounded in the node's own type, in
whatever order they are added, and rows on which a value may leave the range of its type are
never proved. What is not covered are algorithms that multiply other numbers than those of the
formula (Winograd or Fourier convolutions).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.linear.backward import lower_bound
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.questions import limit
from holdfast.certify.linear.refine import Slopes, refined
from holdfast.certify.linear.region import Region
from holdfast.certify.network.bends import Bend
from holdfast.certify.network.graph import Graph, Node
from holdfast.ops.batch import chunks
from holdfast.ops.interval import Box, affine, gamma, intersect, widen, within

Intermediate = Literal["ibp", "crown"]
ROUNDINGS = 8  # of one output besides its sum: bias, factors made of several numbers, casts


def propagate(
    graph: Graph,
    region: Region,
    intermediate: Intermediate,
    known: Mapping[int, Box] | None = None,
    shares: dict[int, Tensor] | None = None,
    steps: int = 0,
    chosen: dict[int, dict[int, Tensor]] | None = None,
    until: float = inf,
    after: Tensor | None = None,
    slopes: Mapping[int, Slopes] | None = None,
) -> Bounds:
    """Boxes of all nodes in order of evaluation.

    With `crown`, the values before each bend that would gain by it (of a ReLU: those whose sign
    the boxes leave open) are bounded once more by a backward pass and the better ends are kept,
    so that the boxes behind it shrink too.
    Where the region is a ball, this is done with `ibp` as well for values affine in the input,
    because there the dual norm is exact.

    Args:
        graph: the network.
        region: its inputs.
        intermediate: how values before bends are bounded.
        known: boxes by position that hold already, of larger regions say.
        shares: receives `(B, n, inputs)` for each value that was bounded backward: how much each
            input contributes to the width of each coordinate; 0 where nothing was open.
        steps: with `crown`, evaluations by which the planes for each value are optimised.
        chosen: receives, for each value so bounded, the slopes `(B, 2 n, *shape)` below each ReLU
            before it: first for the lower bounds of its n coordinates, then for the upper ones.
        until: of `time.monotonic()`: what is not bounded backward by then keeps its interval.
        after: `(B,)` positions of the last values whose known boxes changed since the others were
            bounded: only values behind them can gain, and only these are bounded backward.
        slopes: for values, those below the ReLUs before them that are taken for their bounds.
    """
    known = known or {}
    overflow = torch.zeros(len(region.centre), dtype=torch.bool, device=region.centre.device)
    bounds = Bounds(graph, region, [], {}, [], [], overflow)
    unsure = set(graph.bent) - (graph.exact if region.radius is None else frozenset())
    mass = region.centre
    for i, node in enumerate(graph.nodes):
        parents = [bounds.boxes[p] for p in node.parents]
        error: Tensor | None = None
        if node.is_input:
            box = region.box
            mass = box.magnitude
        elif isinstance(node.operator, Bend):
            box, mass, error = _bend(bounds, i, node.operator)
        elif node.operator is not None:
            op = node.operator
            box = affine(parents, op.linear, op.spread, op.bias, op.terms)
            better = op.inside(parents)
            box = box if better is None else intersect(box, better)
            mass = op.mass([b.magnitude for b in parents])
            error = _error(node, op.terms + ROUNDINGS, mass)
        box = box if error is None else widen(box.low, box.high, error)
        if node.operator is not None:
            box = within(box, *node.operator.limits)
        box = intersect(box, known[i]) if i in known else box
        peak = mass.flatten(1).amax(1)
        bounds.peaks.append(peak)
        bounds.masses.append(mass)
        bounds.errors.append(error)
        bounds.boxes.append(box)
        # The sum of absolute terms bounds every partial sum, in any order.
        bounds.overflow.logical_or_(~(peak < torch.finfo(node.dtype).max / 4))
        if i in unsure and (intermediate == "crown" or i in graph.affine):
            rows = None if after is None else after < i
            given = (slopes or {}).get(i)
            bounds.boxes[i] = refined(bounds, i, shares, until=until, rows=rows, slopes=given)
            if steps and intermediate == "crown":
                bounds.boxes[i] = refined(bounds, i, steps=steps, chosen=chosen, until=until)
    return bounds


def _bend(bounds: Bounds, i: int, bend: Bend) -> tuple[Box, Tensor, Tensor | None]:
    """Box, masses and error of a bend; its planes are kept."""
    node = bounds.graph.nodes[i]
    parents = [bounds.boxes[p] for p in node.parents]
    box = bend.box(parents)
    bounds.planes[i] = bend.planes(parents)
    return (
        box,
        bend.reach(parents, box),
        _error(node, bend.roundings, bend.mass(parents, box)),
    )


def _error(node: Node, terms: int, mass: Tensor) -> Tensor | None:
    """How far the model's own result of a node may lie from the exact one.

    The second part is what underflow loses, flushed to zero or not.
    """
    terms += node.extra
    if node.unit == 0 or terms == 0:
        return None
    return gamma(terms, node.unit) * mass + terms * torch.finfo(node.dtype).tiny


def margins(bounds: Bounds, c: Tensor, constant: Tensor, *, relax: bool) -> Tensor:
    """`(B, W)`: upper bounds of `c z + constant` of the logits z; infinite where unknown.

    Args:
        bounds: of the network.
        c: `(B, W, K)`.
        constant: `(B, W)`; -inf marks a way that is closed.
        relax: whether to pass through ReLUs.
    """
    count, ways = c.shape[:2]
    below = torch.cat([
        lower_bound(bounds.take(part), bounds.graph.output, -c[part], relax=relax)
        for part in chunks(count, max(1, limit(bounds.graph) // ways))
    ])  # fmt: skip
    upper = torch.nextafter(constant - below, torch.full_like(below, torch.inf))
    # An overflow proves nothing, in whichever direction it went.
    unknown = (~below.isfinite() | bounds.overflow[:, None]) & (constant != -torch.inf)
    return upper.masked_fill(unknown, torch.inf)
