"""How maxima become nodes: `a + relu(b - a)`, in trees, with the box of maxima kept beside.

Nothing is rounded, and splitting the ReLUs makes the bounds exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.network.known import Known
from holdfast.certify.network.picks import Pick
from holdfast.certify.network.rearrange import Total
from holdfast.certify.reading.clamps import clamped
from holdfast.certify.reading.layout import ROWS_FIRST, Layout, Placed
from holdfast.certify.reading.moves import Args, Named, aligned
from holdfast.certify.reading.recorder import Found, Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.sequence import Steps
from holdfast.ops.interval import Box

MOST = 16  # values that are sorted


def _larger(boxes: Sequence[Box]) -> Box:
    return Box(
        torch.maximum(boxes[1].low, boxes[2].low), torch.maximum(boxes[1].high, boxes[2].high)
    )


def _smaller(boxes: Sequence[Box]) -> Box:
    return Box(
        torch.minimum(boxes[1].low, boxes[2].low), torch.minimum(boxes[1].high, boxes[2].high)
    )


def extreme(steps: Steps, a: int, b: int, sign: float) -> int:
    """The larger of two values for sign 1, the smaller one for -1."""
    apart = steps.inner(Total((sign, -sign)), b, a)
    found = steps.inner(Total((1.0, sign)), a, steps.relu(apart))
    holds = _larger if sign > 0 else _smaller
    return steps.inner(Known(holds=holds, others=(steps.shape,) * 2), found, a, b)


def pairwise(sign: float) -> Any:
    """`maximum` for sign 1 and `minimum` for -1, of two values or a value and a constant."""

    def handler(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
        (a, b), layout = aligned(r, args[:2], out)
        steps = Steps(r, out, layout)
        if isinstance(a, int) and isinstance(b, int):
            return steps.placed(extreme(steps, a, b, sign))
        node, limit = (a, b) if isinstance(a, int) else (b, a)
        ends = (limit, None) if sign > 0 else (None, limit)
        return steps.placed(clamped(steps, node, *ends))

    return handler


def tree(
    r: Recorder, node: int, before: tuple[int, ...], index: Tensor, out: Tensor, layout: Layout,
    sign: float,
) -> int:  # fmt: skip
    """The extreme over the first axis of numbers picked from a value.

    Args:
        r: the recorder.
        node: the value.
        before: shape of one of its rows.
        index: `(k, *shape of one row of the result)` places in the row.
        out: the model's result.
        layout: where its rows stand.
        sign: 1 for maxima, -1 for minima.
    """
    rest = tuple(index.shape[1:])
    while len(index) > 1:
        # The halves may overlap: a maximum does not mind.
        half = (len(index) + 1) // 2
        steps = Steps(r, out, layout, (half, *rest))
        a, b = (
            steps.inner(Pick(part.flatten(), (before,), steps.shape), node)
            for part in (index[:half], index[-half:])
        )
        node, before = extreme(steps, a, b, sign), steps.shape
        index = torch.arange(prod(before), device=index.device).reshape(before)
    return Steps(r, out, layout, rest).inner(Pick(index.flatten(), (before,), rest), node)


def along(sign: float) -> Any:
    """The extreme along one or several axes, not that of the rows."""

    def handler(r: Recorder, args: Args, named: Named, out: Any) -> Found:
        if len(args) > 1 and isinstance(args[1], Tensor):
            found: Placed = pairwise(sign)(r, args, named, out)
            return found
        placed, result = r.placed(args[0]), out[0] if isinstance(out, tuple) else out
        dims = args[1] if len(args) > 1 else named.get("dim", ())
        count = args[0].dim()
        axes = sorted(d % count - 1 for d in ((dims,) if isinstance(dims, int) else dims))
        if placed is None or not placed.layout.first or not axes or axes[0] < 0:
            raise unsupported("a maximum over the rows")
        shape = placed.shape[1:]
        index = torch.arange(placed.size, device=result.device).reshape(shape)
        index = index.movedim(axes, list(range(len(axes)))).flatten(0, len(axes) - 1)
        index = index.reshape(-1, *ROWS_FIRST.shape(tuple(result.shape)))
        return tree(r, placed.node, shape, index, result, ROWS_FIRST, sign)

    return handler


def sort(r: Recorder, args: Args, named: Named, out: Any) -> Found:
    """A sorted axis of few numbers: neighbours change places, in as many rounds as numbers."""
    placed, result = r.placed(args[0]), out[0]
    dim = (named.get("dim", args[1] if len(args) > 1 else -1)) % args[0].dim()
    falls = bool(named.get("descending", args[2] if len(args) > 2 else False))
    if placed is None or not placed.layout.first or dim == 0:
        raise unsupported("sorting the rows")
    shape, n = placed.shape[1:], placed.shape[dim]
    if n > MOST:
        raise unsupported(f"sorting {n} values", f"Sort groups of at most {MOST}, or use amax.")
    index, node = torch.arange(placed.size).reshape(shape).movedim(dim - 1, 0), placed.node
    whole = Steps(r, result, ROWS_FIRST)
    for turn in range(n if n > 2 else 1):
        first = list(range(turn % 2, n - 1, 2))
        part = (len(first), *index.shape[1:])
        steps = Steps(r, result, ROWS_FIRST, part)
        a, b = (
            steps.inner(Pick(index[[i + k for i in first]].flatten(), (shape,), part), node)
            for k in (0, 1)
        )
        ends = [extreme(steps, a, b, sign) for sign in ((1.0, -1.0) if falls else (-1.0, 1.0))]
        # Side by side: the value, the first of each pair, the second of each pair.
        merged, size = index.clone(), prod(part)
        for k in (0, 1):
            places = torch.arange(size).reshape(part) + placed.size + k * size
            merged[[i + k for i in first]] = places
        merged = merged.movedim(0, dim - 1).flatten()
        node = whole.inner(Pick(merged, (shape, part, part), shape), node, *ends)
    return node
