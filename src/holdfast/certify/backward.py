"""Linear bounds, carried as coefficients from a value of the network back to its input."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from holdfast.certify.graph import Graph, Node
from holdfast.certify.region import Region
from holdfast.ops.interval import TINY, UNIT, Box, gamma
from holdfast.ops.linear import Lines, lower_on_box


@dataclass(frozen=True, eq=False)
class Bounds:
    """What is known of each value of a network, as the model computes it in its own type.

    Args:
        graph: the network.
        region: its inputs.
        boxes: ends `(B, ...)` of each node.
        lines: around each ReLU, by position of the ReLU.
        peaks: `(B,)` per node, the largest sum of absolute terms in one coordinate; it turns
            coefficients into rounding errors.
        errors: `(B, ...)` per node, how far what the model computes may lie from the exact
            result of the operation; None where nothing is rounded.
        overflow: `(B,)` bool, rows on which a value may leave the range of its type.
    """

    graph: Graph
    region: Region
    boxes: list[Box]
    lines: dict[int, Lines]
    peaks: list[Tensor]
    errors: list[Tensor | None]
    overflow: Tensor


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

    Two kinds of rounding are subtracted. What the model computes differs from the exact result
    of an operation by at most the error of the node, which the coefficients multiply. And each
    step here errs by at most gamma times the sum of absolute products, which is at most the sum
    of absolute coefficients times the peak of the node.

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
    mass, error, theirs = torch.zeros_like(total), torch.zeros_like(total), torch.zeros_like(total)
    for i in range(start, -1, -1):
        if i not in waiting:
            continue
        a, node = waiting.pop(i), bounds.graph.nodes[i]
        if node.is_input:
            found = bounds.region.lower(a, rows)
            total, mass = total + found, mass + found.abs()
            continue
        weight = a.flatten(1).abs()
        reach = weight.sum(1) * bounds.peaks[i][rows]
        size = prod(node.shape) + sum(prod(bounds.graph.nodes[p].shape) for p in node.parents)
        error, mass = error + 4 * gamma(size + 16) * reach, mass + reach
        theirs = theirs + _rounded(weight, bounds.errors[i], rows, single)
        if node.is_relu and not relax:
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
    ours = 2 * error + 4 * steps * UNIT * (mass + total.abs() + theirs) + TINY
    return total - theirs * (1 + 1e-9) - ours


def _rounded(
    weight: Tensor, error: Tensor | None, rows: Tensor | slice, single: bool
) -> Tensor | float:
    """`(P,)`: how much the model's own rounding of a node can move the sum."""
    if error is None:
        return 0.0
    if single:
        return weight @ error[rows].flatten()
    return (weight * error[rows].flatten(1)).sum(1)


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
