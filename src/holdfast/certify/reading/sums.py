"""How sums along axes become nodes: reductions, cumulative sums, matrix products, norms."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.network.along import Along, Centre, Contraction
from holdfast.certify.network.functions import CURVES, power
from holdfast.certify.network.known import Known
from holdfast.certify.network.operators import Scale
from holdfast.certify.network.picks import Pick
from holdfast.certify.network.products import Product
from holdfast.certify.network.rearrange import Mean, Reshape
from holdfast.certify.reading.affine import dense, from_left, stacked
from holdfast.certify.reading.kinks import absolute
from holdfast.certify.reading.layout import Layout, Placed
from holdfast.certify.reading.moves import Args, Named
from holdfast.certify.reading.recorder import Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.sequence import Steps, one


def reduced(
    r: Recorder, x: Tensor, dims: Any, keep: bool, *, front: bool = False
) -> tuple[Placed, tuple[int, ...], Layout]:
    """A value, the axes of its turned form that a reduction takes, and the result's layout."""
    placed = r.placed(x)
    if placed is None or dims is None or (not isinstance(dims, int) and not len(dims)):
        raise unsupported("a sum or mean over the rows")
    count, layout = len(placed.shape), placed.layout
    chosen = sorted(d % count for d in ((dims,) if isinstance(dims, int) else dims))
    if layout.axis in chosen:
        raise unsupported("a sum or mean over the rows")
    axes = tuple(layout.place(d, count) for d in chosen)
    gone = 0 if keep else sum(d < layout.axis for d in chosen)
    left = Layout(layout.axis - gone, layout.outer, layout.inner)
    if left.first and not layout.first and not front:
        raise unsupported("a reduction over the axes before the rows", "Put the rows first.")
    return placed, axes, left


def summed(mean: bool) -> Any:
    """Sums or means over axes other than the rows."""

    def handler(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
        keep = bool(args[2]) if len(args) > 2 else False
        dims = args[1] if len(args) > 1 else None
        placed, axes, layout = reduced(r, args[0], dims, keep, front=True)
        before = placed.layout.shape(placed.shape)
        count = prod(before[i - 1] for i in axes)
        op = Mean(axes, before, keep, 1 / count if mean else 1.0)
        left = tuple(n for i, n in enumerate(before, 1) if i not in axes) or (1,)
        steps, whole = Steps(r, out, layout), Steps(r, out, layout, left)
        if keep or left == steps.shape:
            return steps.placed(steps.rounded(op, placed.node))
        return steps.placed(steps.inner(Reshape(left, steps.shape), whole.rounded(op, placed.node)))

    return handler


def cumulated(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """Cumulative sums: a triangular matrix."""
    placed, (axis,), layout = reduced(r, args[0], args[1], True)
    n = placed.layout.shape(placed.shape)[axis - 1]
    steps = Steps(r, out, layout)
    ones = torch.ones(n, n, dtype=torch.float64, device=out.device).tril()
    return steps.placed(steps.rounded(Along(ones, axis), placed.node))


def addmm(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`bias + x W`."""
    if any(named.get(k, 1) != 1 for k in ("alpha", "beta")):
        raise unsupported("addmm with factors")
    return dense(r, args[1], args[2], args[0], out)


def mm(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """A product of two matrices, one of them constant."""
    if r.placed(args[0]) is None:
        return from_left(r, args[0], args[1], out)
    return dense(r, args[0], args[1], None, out)


def bmm(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """Products of a batch of matrices; where both depend on the input, number by number."""
    a, b = r.placed(args[0]), r.placed(args[1])
    if b is None:
        return stacked(r, args[0], args[1], out, left=False)
    if a is None:
        return stacked(r, args[1], args[0], out, left=True)
    if a.layout != b.layout or a.layout.axis != 0:
        raise unsupported("a product of matrices over the rows")
    left, right = a.layout.shape(a.shape), b.layout.shape(b.shape)
    full = (*left, right[-1])
    steps = Steps(r, out, a.layout, full)
    first = torch.arange(prod(left)).reshape(*left, 1).expand(full).flatten().to(out.device)
    second = torch.arange(prod(right)).reshape(*right[:-2], 1, *right[-2:])
    picks = (
        steps.inner(Pick(first, (left,), full), a.node),
        steps.inner(Pick(second.expand(full).flatten().to(out.device), (right,), full), b.node),
    )
    products = steps.inner(Product(), *picks)
    whole = Steps(r, out, a.layout)
    op = Contraction((len(full) - 1,), full, False, 1.0)
    return whole.placed(whole.rounded(op, products, extra=4))


def baddbmm(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`beta bias + alpha a b` for a constant bias."""
    found = bmm(r, args[1:3], {}, out)
    beta, alpha = float(named.get("beta", 1)), float(named.get("alpha", 1))
    if r.placed(args[0]) is not None:
        raise unsupported("baddbmm with a bias that depends on the input", "Add it afterwards.")
    steps = Steps(r, out, found.layout)
    bias = None if beta == 0 else beta * r.constant(args[0], out, found.layout)
    return steps.placed(steps.rounded(Scale(alpha * one(out), bias), found.node))


def variance(root: bool) -> Any:
    """Variances or standard deviations over axes other than the rows."""

    def handler(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
        keep = bool(named.get("keepdim", False))
        placed, axes, layout = reduced(r, args[0], args[1] if len(args) > 1 else None, keep)
        correction = named.get("correction")
        steps = Steps(r, out, layout)
        node = spread(steps, placed, axes, 1 if correction is None else float(correction), keep)
        return steps.placed(steps.rounded(CURVES["sqrt"], node) if root else node)

    return handler


def spread(
    steps: Steps, placed: Placed, axes: tuple[int, ...], correction: float, keep: bool
) -> int:
    """The variance over axes of the turned value, in the shape of the steps.

    Kernels find it in one pass, by updates or chunks, whose error goes by the mean of the squares
    of x, not by that of the centred ones.
    """
    before = placed.layout.shape(placed.shape)
    count = prod(before[i - 1] for i in axes)
    whole = Steps(steps.r, steps.out, steps.layout, before)
    squares = whole.inner(CURVES["square"], whole.inner(Centre(axes, before), placed.node))
    factor = 1 / (count - correction)
    node = steps.inner(Mean(axes, before, keep, factor), squares)

    def weight(sizes: list[Tensor]) -> Tensor:
        return sizes[1].square().sum(axes).reshape(sizes[0].shape) * factor

    known = Known(weight=weight, ends=(0.0, torch.inf), others=(before,))  # type: ignore[arg-type]
    return steps.rounded(known, node, placed.node, extra=4 * count + 32)


def norm(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """Norms of order p >= 1 along axes other than the rows."""
    x, order = args[0], float(args[1]) if len(args) > 1 else 2.0
    dims, keep = (args[2] if len(args) > 2 else None), bool(args[3]) if len(args) > 3 else False
    placed, axes, layout = reduced(r, x, dims, keep)
    if order < 1 or order == torch.inf:
        raise unsupported(f"a norm of order {order}", "Use amax of abs, or order 1 or 2.")
    before = placed.layout.shape(placed.shape)
    whole, steps = Steps(r, x, placed.layout), Steps(r, out, layout)
    if order == 2:
        node = whole.rounded(CURVES["square"], placed.node)
    else:
        node = absolute(r, [x], {}, x).node
        node = node if order == 1 else whole.rounded(power(order), node)
    # Each step is rounded by itself: squares of small numbers are lost altogether.
    node = steps.rounded(Mean(axes, before, keep, 1.0), node)
    node = steps.inner(Known(ends=(0.0, torch.inf)), node)
    if order == 1:
        return steps.placed(node)
    return steps.placed(steps.rounded(CURVES["sqrt"] if order == 2 else power(1 / order), node))
