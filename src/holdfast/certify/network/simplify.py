"""Fewer nodes for the same network: sums with constants join affine maps, twin ReLUs are one."""

from __future__ import annotations

from dataclasses import replace

import torch

from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.operators import Convolution, Dense, Scale


def simplified(graph: Graph) -> Graph:
    """The same function, bit by bit: `W x` followed by `+ b` becomes `W x + b`.

    Exported networks write them as two operations. ReLUs of one value become one, so that its
    sign is split once; bends keep their order.

    Args:
        graph: any network.
    """
    uses = [p for node in graph.nodes for p in node.parents] + [graph.output]
    nodes: list[Node] = []
    place: dict[int, int] = {}
    rectified: dict[int, int] = {}
    for i, node in enumerate(graph.nodes):
        parents = tuple(place[p] for p in node.parents)
        if node.is_relu and parents[0] in rectified:
            place[i] = rectified[parents[0]]
            continue
        before = nodes[parents[0]] if parents else None
        joined = None
        if before is not None and uses.count(node.parents[0]) == 1:
            joined = _joined(before, node)
        if joined is None:
            place[i] = len(nodes)
            nodes.append(replace(node, parents=parents))
            if node.is_relu:
                rectified[parents[0]] = place[i]
        else:
            place[i] = parents[0]
            nodes[parents[0]] = joined
    return Graph(tuple(nodes), place[graph.output])


def _joined(before: Node, node: Node) -> Node | None:
    """Both as one node, or None where that would compute anything new."""
    op, plus = before.operator, node.operator
    if not isinstance(op, Dense | Convolution) or not isinstance(plus, Scale):
        return None
    if op.bias is not None or plus.bias is None or not bool((plus.factor == 1).all()):
        return None
    if (
        before.shape != node.shape
        or before.dtype != node.dtype
        or plus.bias.dim() > len(node.shape)
    ):
        return None
    bias = plus.bias
    if isinstance(op, Convolution):
        while bias.dim() < len(node.shape):
            bias = bias[None]
        if any(n != 1 for n in bias.shape[1:]):
            return None
    elif bias.numel() != node.shape[-1]:
        return None
    bias = bias if isinstance(op, Convolution) else bias.reshape(-1)
    unit = max(before.unit, node.unit)
    return replace(before, operator=replace(op, bias=bias.to(torch.float64)), unit=unit,
                   extra=before.extra + node.extra + 1)  # fmt: skip
