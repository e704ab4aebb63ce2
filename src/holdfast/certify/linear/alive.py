"""The part of a network that is alive on a region: neurons that are always off are left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Dense
from holdfast.ops.interval import Box


def living(bounds: Bounds, start: int) -> Bounds:
    """The same up to `start`, without ReLUs between dense layers that are off in all rows.

    What is left out is zero on the whole region, as the model computes it, so that every value
    behind it is the same sum with fewer terms; what rounding may lose is still that of all.

    Args:
        bounds: what is known of the nodes up to `start`.
        start: position of the last node, which stays whole.
    """
    nodes, boxes = list(bounds.graph.nodes[: start + 1]), list(bounds.boxes[: start + 1])
    errors = list(bounds.errors[: start + 1])
    planes = {i: p for i, p in bounds.planes.items() if i <= start}
    for i, node in enumerate(nodes):
        users = [j for j, other in enumerate(nodes) if i in other.parents]
        before = node.parents[0] if node.is_relu else 0
        alone = sum(before in other.parents for other in nodes) == 1
        dense = all(isinstance(nodes[j].operator, Dense) for j in (before, *users))
        if not (node.is_relu and users and alone and dense and len(node.shape) == 1):
            continue
        on = (boxes[before].high > 0).any(0).nonzero().flatten()
        for j in (before, i):
            nodes[j] = replace(nodes[j], shape=(len(on),))
            boxes[j] = Box(*(end[:, on] for end in boxes[j]))
            errors[j] = _kept(errors[j], on)
        op: Any = nodes[before].operator
        bias = None if op.bias is None else op.bias[on]
        nodes[before] = replace(nodes[before], operator=Dense(op.weight[on], bias))
        planes[i] = node.operator.planes([boxes[before]])  # type: ignore[union-attr]
        for j in users:
            op = nodes[j].operator
            nodes[j] = replace(nodes[j], operator=replace(op, weight=op.weight[:, on]))
    return replace(
        bounds, graph=Graph(tuple(nodes), start), boxes=boxes, errors=errors, planes=planes,
        peaks=bounds.peaks[: start + 1], masses=[],
    )  # fmt: skip


def _kept(error: Tensor | None, on: Tensor) -> Tensor | None:
    return None if error is None else error[:, on]
