"""The part of a network that is alive on a region: neurons that are always off are left out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.rough import Ready
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.operators import Dense
from holdfast.ops.interval import Box


def living(bounds: Bounds, start: int, kept: dict[int, Tensor] | None = None) -> Bounds:
    """The same up to `start`, without ReLUs between dense layers that are off in all rows.

    What is left out is zero on the whole region, as the model computes it, and adding zeros
    rounds nothing: every value behind it is the same sum with fewer terms. What rounding may
    lose in the model is still that of all. Where there are no boxes, planes say which they are:
    those of a ReLU that is off are zero.

    Args:
        bounds: what is known of the nodes up to `start`.
        start: position of the last node, which stays whole.
        kept: what `alive` found, if it was asked before.
    """
    kept = alive(bounds, start) if kept is None else kept
    if not kept:
        return bounds
    nodes = list(bounds.graph.nodes[: start + 1])
    for i, on in kept.items():
        if nodes[i].is_relu:
            nodes[i] = replace(nodes[i], shape=(len(on),))
        else:
            nodes[i] = _rows(nodes[i], on)
        for j, node in enumerate(nodes):
            if i in node.parents and nodes[i].is_relu:
                nodes[j] = _columns(node, on)

    few = partial(_few, kept)
    if isinstance(bounds, Ready):
        return replace(
            bounds,
            graph=Graph(tuple(nodes), start),
            middles={i: middle.each(partial(few, i)) for i, middle in bounds.middles.items()},
            gaps={i: few(i, gap) for i, gap in bounds.gaps.items()},
            errors=[None if e is None else few(i, e) for i, e in enumerate(bounds.errors)],
        )
    return replace(
        bounds,
        graph=Graph(tuple(nodes), start),
        boxes=[Box(few(i, box.low), few(i, box.high)) for i, box in enumerate(bounds.boxes)],
        planes={i: planes.each(partial(few, i)) for i, planes in bounds.planes.items()},
        errors=[None if e is None else few(i, e) for i, e in enumerate(bounds.errors)],
        masses=[],
    )


def alive(bounds: Bounds, start: int) -> dict[int, Tensor]:
    """Of ReLUs with silent neurons, and of the values before them, the coordinates to keep."""
    nodes = bounds.graph.nodes[: start + 1]
    kept: dict[int, Tensor] = {}
    for i, node in enumerate(nodes):
        users = [j for j, other in enumerate(nodes) if i in other.parents]
        if not node.is_relu or not users or len(node.shape) > 1:
            continue
        before = node.parents[0]
        alone = sum(before in other.parents for other in nodes) == 1
        if not alone or not all(isinstance(nodes[j].operator, Dense) for j in (before, *users)):
            continue
        on = _alive(bounds, i, before)
        if len(on) < node.shape[0]:
            kept[before] = kept[i] = on
    return kept


def _few(kept: dict[int, Tensor], i: int, values: Tensor) -> Tensor:
    return values[:, kept[i]] if i in kept else values


def _alive(bounds: Bounds, i: int, before: int) -> Tensor:
    """Coordinates of a ReLU that is on somewhere, one at least."""
    if not isinstance(bounds, Ready):
        on = ~(bounds.boxes[before].high <= 0)  # what is not a number may be on
    else:
        middle = bounds.middles[i]
        on = torch.stack([part != 0 for part in (*middle.mean, *middle.tilt)]).any(0)
    found = on.any(0).nonzero().flatten()
    return found if len(found) else found.new_zeros(1)


def _rows(node: Node, keep: Tensor) -> Node:
    op = node.operator
    if not isinstance(op, Dense):
        return node
    bias = None if op.bias is None else op.bias.expand(node.shape)[keep]
    return replace(node, operator=Dense(op.weight[keep], bias), shape=(len(keep),))


def _columns(node: Node, keep: Tensor) -> Node:
    op = node.operator
    if not isinstance(op, Dense):
        return node
    return replace(node, operator=Dense(op.weight[:, keep], op.bias))
