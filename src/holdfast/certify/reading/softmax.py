"""How softmax and its relatives become nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, log, prod

import torch
from torch import Tensor

from holdfast.certify.network.along import Centre, Differences
from holdfast.certify.network.functions import CURVES, reciprocal
from holdfast.certify.network.known import Known
from holdfast.certify.network.operators import Scale
from holdfast.certify.network.picks import Pick
from holdfast.certify.network.rearrange import Mean, Permute, Total
from holdfast.certify.reading.layout import Layout, Placed
from holdfast.certify.reading.moves import Args, Named
from holdfast.certify.reading.recorder import Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.sequence import Steps
from holdfast.certify.reading.sums import reduced
from holdfast.ops.interval import Box

FAR = {torch.float64: 745}  # arguments of exp that are not flushed to zero; 104 otherwise


def roundings(count: int, out: Tensor) -> int:
    """Half units that a softmax of some terms may lose, of its result.

    The difference to the largest argument is rounded, which exp turns into a relative error of
    its size, in the numerator and in the denominator; where it is larger than the type can say
    the result is flushed to zero. The sum loses one per term. Short types are computed in float32.
    """
    unit = torch.finfo(out.dtype).eps / 2
    inside = min(unit, 2.0**-24)
    return 16 + ceil((count + 32 + 2 * FAR.get(out.dtype, 104)) * inside / unit)


def _last(
    r: Recorder, x: Tensor, dim: int, out: Tensor, node: int | None = None
) -> tuple[Placed, int, tuple[int, ...], Callable[[int], int], list[int]]:
    """A value with one axis moved to the end.

    Returns:
        Where it was, the node, the shape of one of its rows, the way back and the order of axes.
    """
    placed, (axis,), _ = reduced(r, x, dim, True)
    before = placed.layout.shape(placed.shape)
    own = placed.node if node is None else node
    order = [i for i in range(len(before) + 1) if i != axis] + [axis]
    shape = tuple(before[i - 1] for i in order[1:])
    if axis == len(before):
        return placed, own, shape, lambda n: n, order
    inverse = tuple(order.index(i) for i in range(len(order)))
    turned = r.add(Permute(tuple(order)), [own], out, shape=shape)
    return (
        placed, turned, shape, lambda n: r.add(Permute(inverse), [n], out, shape=before), order
    )  # fmt: skip


def _unmasked(r: Recorder, node: int, out: Tensor) -> tuple[int, Tensor | None]:
    """A value to which minus infinity was added or filled in, without it, and where it was."""
    made = r.nodes[node]
    operator = made.operator
    if not isinstance(operator, Scale | Pick) or operator.bias is None:
        return node, None
    gone = (operator.bias == -torch.inf).expand(made.shape)
    if not bool(gone.any()):
        return node, None
    if isinstance(operator, Pick) and len(made.parents) > 1:
        return node, None
    kept = operator.bias.masked_fill(operator.bias == -torch.inf, 0.0)
    found = r.add(replace(operator, bias=kept), made.parents, out, shape=made.shape)
    return found, ~gone


def _ratios(
    r: Recorder, node: int, shape: tuple[int, ...], out: Tensor, layout: Layout,
    kept: Tensor | None = None,
) -> int:  # fmt: skip
    """`sum_j exp(x_j - x_i)` along the last axis, one over the softmax.

    Its terms may be large where the model's, with the largest argument taken off, are not.
    """
    n = shape[-1]
    pairs = Steps(r, out, layout, (*shape, n), computed=False)
    powers = pairs.inner(CURVES["exp"], pairs.inner(Differences(), node))
    if kept is not None:
        powers = pairs.inner(Scale(kept[..., None, :].double()), powers)
    steps = Steps(r, out, layout, shape, computed=False)
    sums = steps.inner(Mean((len(shape) + 1,), pairs.shape, False, 1.0), powers)
    return steps.inner(Known(ends=(1.0 if kept is None else 0.0, torch.inf)), sums)


def softmax(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`1 / sum_j exp(x_j - x_i)`: only functions of one value, and exact boxes.

    Where the value is minus infinity, the masks of attention, the result is zero.
    """
    whole = r.placed(args[0])
    node, kept = _unmasked(r, -1 if whole is None else whole.node, args[0])
    placed, node, shape, back, order = _last(r, args[0], args[1], out, node)
    if kept is not None:
        kept = kept.permute([i - 1 for i in order[1:]])
        if not bool(kept.any(-1).all()):
            raise unsupported("a softmax of which every term is masked")
    steps = Steps(r, out, placed.layout, shape)
    over = steps.inner(reciprocal(), _ratios(r, node, shape, out, placed.layout, kept))
    if kept is not None:
        over = steps.inner(Scale(kept.double()), over)
    top = 1 + 8 * torch.finfo(out.dtype).eps
    found = steps.rounded(Known(ends=(0.0, top)), over, extra=roundings(shape[-1], out))
    return Placed(back(found), placed.layout, tuple(out.shape))


def log_softmax(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`-log sum_j exp(x_j - x_i)`; the kernel subtracts numbers as large as x."""
    placed, node, shape, back, _ = _last(r, args[0], args[1], out)
    steps = Steps(r, out, placed.layout, shape)
    sums = _ratios(r, node, shape, out, placed.layout)
    value = steps.scaled(steps.inner(CURVES["log"], sums), -1.0)

    def weight(sizes: Sequence[Tensor]) -> Tensor:
        return sizes[0] + 3 * sizes[1].amax(-1, keepdim=True) + 1 + log(shape[-1])

    known = Known(weight=weight, others=(shape,))
    found = steps.rounded(known, value, node, extra=roundings(shape[-1], out))
    return Placed(back(found), placed.layout, tuple(out.shape))


def logsumexp(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`m + log sum_j exp(x_j - m)` around the mean m."""
    dims, keep = args[1], bool(args[2]) if len(args) > 2 else False
    placed, axes, layout = reduced(r, args[0], dims, keep)
    before = placed.layout.shape(placed.shape)
    whole = Steps(r, out, placed.layout, before, computed=False)
    steps = Steps(r, out, layout, computed=False)
    count = prod(before[i - 1] for i in axes)
    powers = whole.inner(CURVES["exp"], whole.inner(Centre(axes, before), placed.node))
    sums = steps.inner(Mean(axes, before, keep, 1.0), powers)
    logs = steps.inner(CURVES["log"], steps.inner(Known(ends=(0.0, torch.inf)), sums))
    middle = steps.inner(Mean(axes, before, keep, 1 / count), placed.node)
    value = steps.inner(Total((1.0, 1.0)), middle, logs)

    def holds(boxes: Sequence[Box]) -> Box:
        shape = boxes[0].low.shape
        low, high = (torch.logsumexp(end, axes).reshape(shape) for end in boxes[1])
        loss = 2.0**-40 * (1 + boxes[1].magnitude.amax(axes).reshape(shape) + log(count))
        return Box(low - loss, high + loss)

    def weight(sizes: Sequence[Tensor]) -> Tensor:
        most = sizes[1].amax(axes).reshape(sizes[0].shape)
        return sizes[0] + 3 * most + 1 + log(count)

    known = Known(holds=holds, weight=weight, others=(before,))
    found = steps.rounded(known, value, placed.node, extra=roundings(count, out))
    return steps.placed(found)
