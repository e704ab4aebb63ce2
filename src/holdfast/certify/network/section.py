"""Parts of a network in float32, with normalisation folded into the convolution before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from holdfast.certify.network.bends import Bend
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.operators import Convolution, Operator, Scale


@dataclass(frozen=True, eq=False)
class Section:
    """The nodes from one value to another, the first taken as input.

    Args:
        graph: in float32; its output is the last value.
        origin: for each of its nodes the position in the whole network.
    """

    graph: Graph
    origin: tuple[int, ...]


SECTIONS: WeakKeyDictionary[Graph, dict[tuple[int, int, torch.dtype], Section]] = (
    WeakKeyDictionary()
)
FOLDED: WeakKeyDictionary[Graph, dict[torch.dtype, tuple[Node | None, ...]]] = WeakKeyDictionary()


def section(graph: Graph, start: int, end: int, dtype: torch.dtype) -> Section:
    """The nodes from `start` to `end`, which depend on nothing before `start` but on it."""
    known, key = SECTIONS.setdefault(graph, {}), (start, end, dtype)
    if key not in known:
        whole = FOLDED.setdefault(graph, {})
        if dtype not in whole:
            whole[dtype] = folded(graph, dtype)
        known[key] = _section(whole[dtype], start, end)
    return known[key]


def _section(folded: tuple[Node | None, ...], start: int, end: int) -> Section:
    nodes: list[Node] = []
    place: dict[int, int] = {}
    for k in range(start, end + 1):
        node = folded[k]
        if node is None:
            continue
        place[k] = len(nodes)
        if k == start:
            node = replace(node, operator=None, parents=())
        nodes.append(replace(node, parents=tuple(place[p] for p in node.parents)))
    return Section(Graph(tuple(nodes), len(nodes) - 1), tuple(place))


def folded(graph: Graph, dtype: torch.dtype) -> tuple[Node | None, ...]:
    """The nodes in float32; None where a convolution went into the factor behind it.

    Factors are multiplied in float64, before they are rounded. Only what multiplies is folded:
    the sums behind keep their places in the original graph.
    """
    found: list[Node | None] = []
    for node in graph.nodes:
        p = node.parents[0] if node.parents else 0
        before = found[p] if found else None
        factor = _factor(node)
        op = None if before is None else before.operator
        alone = graph.uses[p] == 1 and p != graph.output
        if factor is not None and before is not None and alone and isinstance(op, Convolution):
            shape = -1, *[1] * (op.weight.dim() - 1)
            one = replace(op, weight=op.weight * factor.reshape(shape), bias=None)
            found[p] = None
            found.append(replace(node, operator=one, parents=before.parents))
        else:
            found.append(node)
    if dtype == torch.float64:
        return tuple(found)
    kept = iter(Graph(tuple(n for n in found if n is not None), 0).single.nodes)
    return tuple(None if node is None else next(kept) for node in found)


def _factor(node: Node) -> Tensor | None:
    """The factor of each channel, if a node multiplies by one."""
    op = node.operator
    if not isinstance(op, Scale) or (op.factor.dim() and op.factor[0].numel() != 1):
        return None
    if op.factor.dim() not in (0, len(node.shape)):
        return None
    return op.factor


def cut(graph: Graph, end: int) -> int:
    """The last bend, with another behind it, that all before `end` must pass; or the input."""
    behind, bent = end, False
    for k in range(end - 1, 0, -1):
        if k + 1 <= end:
            behind = min(behind, *graph.nodes[k + 1].parents)
        if isinstance(graph.nodes[k].operator, Bend):
            if bent and behind >= k:
                return k
            bent = True
    return 0


def fan(node: Node) -> int:
    """Number of products in one coefficient on a parent."""
    op = node.operator
    if isinstance(op, Convolution):
        return op.weight[:, 0].numel() // op.groups
    if isinstance(op, Scale):
        return 1
    return prod(node.shape) if isinstance(op, Operator) else 2
