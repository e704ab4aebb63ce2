"""A network without the neurons that never fire on a region."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.operators import Dense
from holdfast.ops.interval import Box


@dataclass(frozen=True, eq=False)
class Slim:
    """A smaller network with the same outputs on a region.

    Args:
        graph: with the nodes of the network in the same places.
        boxes: of its nodes, one row.
        kept: by position of a value, which of its coordinates are left; all where it is missing.
    """

    graph: Graph
    boxes: list[Box]
    kept: dict[int, Tensor]


def slimmed(bounds: Bounds) -> Slim:
    """Leave out neurons whose box lies below zero, between dense layers.

    Their ReLU is exactly 0 on the whole region, as the model computes it too, and adding zeros
    rounds nothing: what is left computes the same numbers.

    Args:
        bounds: of the network, one row.
    """
    nodes = list(bounds.graph.nodes)
    boxes = list(bounds.boxes)
    kept: dict[int, Tensor] = {}
    for i, node in enumerate(bounds.graph.nodes):
        if not node.is_relu:
            continue
        p = node.parents[0]
        own = [k for k, n in enumerate(nodes) if p in n.parents]
        after = [k for k, n in enumerate(nodes) if i in n.parents]
        flat = len(node.shape) == 1 and own == [i] and bounds.graph.output not in (i, p)
        if not flat or not all(isinstance(nodes[k].operator, Dense) for k in (p, *after)):
            continue
        keep = (boxes[p].high[0] > 0).nonzero().flatten()
        if not 0 < len(keep) < prod(node.shape):
            continue
        kept[p] = kept[i] = keep
        nodes[p], nodes[i] = _rows(nodes[p], keep), replace(node, shape=(len(keep),))
        for k in after:
            nodes[k] = _columns(nodes[k], keep)
        for k in (p, i):
            boxes[k] = Box(boxes[k].low[:, keep], boxes[k].high[:, keep])
    return Slim(Graph(tuple(nodes), bounds.graph.output), boxes, kept)


def _rows(node: Node, keep: Tensor) -> Node:
    op = node.operator
    if not isinstance(op, Dense):
        return node
    bias = None if op.bias is None else op.bias.expand(node.shape)[keep]
    return replace(node, operator=replace(op, weight=op.weight[keep], bias=bias),
                   shape=(len(keep),))  # fmt: skip


def _columns(node: Node, keep: Tensor) -> Node:
    op = node.operator
    if not isinstance(op, Dense):
        return node
    return replace(node, operator=replace(op, weight=op.weight[:, keep]))
