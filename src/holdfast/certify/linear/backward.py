"""Linear bounds, carried as coefficients from a value of the network back to its input."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds, Carried, Linear, total
from holdfast.certify.network.bends import Bend, Planes
from holdfast.ops.interval import UNIT


def lower_bound(
    bounds: Bounds,
    start: int,
    a: Tensor,
    *,
    relax: bool = True,
    first: Tensor | None = None,
) -> Tensor:
    """`(B, m)`: numbers below `a . value` for every input of each row's region.

    Args:
        bounds: what is known of the nodes up to `start`.
        start: position of the value asked about.
        a: `(B, m, *shape)` coefficients, m questions about each row.
        relax: whether to pass through bends.
        first: `(B, m, ...)` the coefficients on the only parent of `start`, if already known.
    """
    return evaluated(bounds, backward(bounds, start, a, relax=relax, first=first))


def evaluated(bounds: Bounds, line: Linear) -> Tensor:
    """`(B, m)`: numbers below linear functions on each row's region."""
    found = bounds.region.lower(line.slope.flatten(2))
    last = 8 * UNIT * (found.abs() + line.offset.abs() + line.slack)
    return found + line.offset - line.slack - last


def backward(
    bounds: Bounds,
    start: int,
    a: Tensor,
    *,
    relax: bool = True,
    first: Tensor | None = None,
    planes: Mapping[int, Planes] | None = None,
    push: Mapping[int, Tensor] | None = None,
    seen: dict[int, Tensor] | None = None,
) -> Linear:
    """Linear functions of the input that lie below `a . value`.

    Coefficients travel from the value back to the input. Through an affine operator they are
    multiplied by its matrix, which loses nothing. Through a bend they take the plane that bounds
    from below: the lower plane where they are positive, the upper one where they are negative.
    Without `relax` they stop at each bend, whose box bounds the rest: interval bounds with the
    last affine layers merged into the question.

    Two kinds of rounding make the slack. What the model computes differs from the exact result
    of an operation by at most the error of the node, which the coefficients multiply. And each
    step here errs by at most gamma times the sum of absolute products, which is at most the sum
    of absolute coefficients times the peak of the node.

    Differentiable in the planes and in what is pushed, up to the slack, which is held constant.

    Args:
        bounds: what is known of the nodes up to `start`.
        start: position of the value asked about.
        a: `(B, m, *shape)` coefficients, m questions about each row.
        relax: whether to pass through bends.
        first: `(B, m, ...)` the coefficients on the only parent of `start`, if already known.
        planes: around each bend instead of those of `bounds`; of shape `(B, *shape)`, or
            `(B, m, *shape)` where each question has its own.
        push: `(B, 1 or m, *shape)` by position: coefficients that are added on the way, of a
            function that is known not to be positive (multipliers of constraints).
        seen: receives the coefficients `(B, m, *shape)` that reach each bend.
    """
    planes, push = planes or bounds.planes, push or {}
    state = Carried.start(bounds, start, a)
    for i in range(start, -1, -1):
        if i not in state.waiting:
            continue
        node, a = bounds.graph.nodes[i], state.waiting.pop(i)
        size = state.sizes.pop(i, None)
        if i in push:
            a, size = a + push[i], None
        if node.is_input:
            return state.finish(a)
        if seen is not None and isinstance(node.operator, Bend):
            seen[i] = a
        if size is None:
            size = total(a)
        state.charge(i, node, a, size)
        if not isinstance(node.operator, Bend):
            state.affine(i, node, a, size, first if i == start else None)
        elif relax:
            state.bend(node, a, size, planes[i])
            if i in bounds.hulls:
                state.over(i, a)
        else:
            state.stop(i, a)
    return state.finish(a.new_zeros(*a.shape[:2], *bounds.graph.nodes[0].shape))
