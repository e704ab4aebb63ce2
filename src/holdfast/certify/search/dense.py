"""Networks of dense layers, where bounding neurons anew is cheap, and what of them is alive."""

from __future__ import annotations

from torch import Tensor

from holdfast.certify.linear.alive import alive, living
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.refine import Slopes
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Dense, Operator


def dense(graph: Graph) -> bool:
    """Whether all that mixes values are dense layers."""
    return all(
        isinstance(node.operator, Dense) or node.operator.exact
        for node in graph.nodes if isinstance(node.operator, Operator)
    )  # fmt: skip


def sides(chosen: dict[int, dict[int, Tensor]]) -> dict[int, Slopes]:
    """What `propagate` chose for values of one row, `(2, n, *shape)`: of both ends apart."""
    return {p: {i: v[0].unflatten(0, (2, -1)) for i, v in own.items()}
            for p, own in chosen.items()}  # fmt: skip


def lively(bounds: Bounds, slopes: dict[int, Slopes]) -> tuple[Bounds, dict[int, Slopes]]:
    """The same without neurons that never fire.

    Args:
        bounds: of one row.
        slopes: for values, those below the ReLUs before them.
    """
    kept = alive(bounds, bounds.graph.output)
    part = living(bounds, bounds.graph.output, kept)
    known = dict(enumerate(part.boxes))
    few = {p: _few(kept, p, own) for p, own in slopes.items()}
    return propagate(part.graph, part.region, "ibp", known), few


def _few(kept: dict[int, Tensor], p: int, own: Slopes) -> Slopes:
    found = {}
    for i, both in own.items():
        rows = both[:, kept[p]] if p in kept else both
        found[i] = rows[:, :, kept[i]] if i in kept else rows
    return found
