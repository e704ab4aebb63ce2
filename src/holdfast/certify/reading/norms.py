"""How normalisations by the row's own mean and variance become nodes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.network.along import Centre
from holdfast.certify.network.functions import CURVES
from holdfast.certify.network.known import Known
from holdfast.certify.network.operators import Scale
from holdfast.certify.network.picks import Pick
from holdfast.certify.network.products import Product
from holdfast.certify.reading.layout import Placed
from holdfast.certify.reading.moves import Args, Named, only
from holdfast.certify.reading.recorder import Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.sequence import Steps, one
from holdfast.certify.reading.sums import reduced, spread
from holdfast.ops.interval import Box, gamma


def normalised(steps: Steps, placed: Placed, axes: tuple[int, ...], eps: float) -> int:
    """`(x - mean) / sqrt(var + eps)` over axes of the turned value, each part as it is rounded.

    Kernels compute `x a - mean a` with `a = 1 / sqrt(var + eps)`, so that the error goes by the
    sizes of x and its mean, not by that of their difference.
    """
    before = steps.shape
    small = tuple(1 if i + 1 in axes else n for i, n in enumerate(before))
    count = prod(before[i - 1] for i in axes)
    few = Steps(steps.r, steps.out, steps.layout, small)
    wide = few.scaled(spread(few, placed, axes, 0.0, True), 1.0, eps * one(steps.out))
    rate = few.rounded(CURVES["rsqrt"], wide)
    index = torch.arange(prod(small)).reshape(small).expand(before).flatten().to(steps.out.device)
    rates = steps.inner(Pick(index, (small,), before), rate)
    centred = steps.inner(Centre(axes, before), placed.node)
    value = steps.inner(Product(), centred, rates)

    def weight(sizes: Sequence[Tensor]) -> Tensor:
        x, scale = sizes[1:]
        return (x + x.mean(axes, keepdim=True)) * scale

    unit = torch.finfo(steps.out.dtype).eps / 2

    def holds(boxes: Sequence[Box]) -> Box:
        # |x - mean|^2 <= (n - 1) var, and the kernel's variance falls short of var by at most
        # the error of `spread`; var / (var - error + eps) is at most 1, or error / eps.
        squares = boxes[1].magnitude.square().mean(axes, keepdim=True)
        error = gamma(4 * count + 64, unit) * squares + 1e3 * torch.finfo(steps.out.dtype).tiny
        top = ((count - 1) * (error / eps).clamp(min=1)).sqrt() * (1 + 64 * unit)
        top = top.expand_as(boxes[0].low)
        return Box(-top, top)

    value = steps.inner(Known(holds=holds, others=(before,)), value, placed.node)
    known = Known(weight=weight, others=(before, before))
    return steps.rounded(known, value, placed.node, rates, extra=4 * count + 32)


def layer_norm(r: Recorder, args: Args, named: Named, out: Any) -> Placed:
    """Layer normalisation over the last axes."""
    x, over, factor, bias, eps = args
    placed, axes, layout = reduced(r, x, tuple(range(-len(over), 0)), True)
    steps = Steps(r, out[0], layout)
    node = normalised(steps, placed, axes, eps)
    return steps.placed(_scaled(steps, node, factor, bias, x.dim()))


def group_norm(r: Recorder, args: Args, named: Named, out: Any) -> Placed:
    """Normalisation over groups of channels and all pixels."""
    x, factor, bias, _, _, _, groups, eps = args
    only(r, x, factor, bias)
    placed = r.placed(x)
    if placed is None or not placed.layout.first:
        raise unsupported("group normalisation on rows that are not the first axis")
    before, result = placed.shape[1:], out[0]
    shape = (groups, prod(before) // groups)
    split = Steps(r, result, placed.layout, shape)
    index = torch.arange(placed.size, device=result.device)
    node = split.inner(Pick(index, (before,), shape), placed.node)
    node = normalised(split, Placed(node, placed.layout, (r.rows, *shape)), (2,), eps)
    steps = Steps(r, result, placed.layout)
    node = steps.inner(Pick(index, (shape,), before), node)
    pixels = [1] * (x.dim() - 2)
    factor, bias = (None if v is None else v.reshape(-1, *pixels) for v in (factor, bias))
    return steps.placed(_scaled(steps, node, factor, bias, x.dim()))


def instance_norm(r: Recorder, args: Args, named: Named, out: Any) -> Placed:
    """Normalisation of each channel of each row by its own pixels.

    Torch writes it as batch normalisation in training mode with the rows folded into channels.
    """
    x, factor, bias = args[:3]
    only(r, x, factor, bias)
    placed = r.placed(x)
    if placed is None or placed.layout.axis != 1 or placed.shape[0] != 1:
        raise unsupported("BatchNorm in training mode", "Call model.eval() before certifying.")
    dims = tuple(range(2, x.dim()))
    placed, axes, layout = reduced(r, x, dims, True)
    steps = Steps(r, out[0], layout)
    node = normalised(steps, placed, axes, args[-1])
    shape = [1, -1, *[1] * len(dims)]
    factor, bias = (None if v is None else v.reshape(shape) for v in (factor, bias))
    return steps.placed(_scaled(steps, node, factor, bias, x.dim()))


def _scaled(steps: Steps, node: int, factor: Tensor | None, bias: Tensor | None, axes: int) -> int:
    r, out = steps.r, steps.out
    if r.position(factor) is not None or r.position(bias) is not None:
        raise unsupported("weights of a normalisation that depend on the input")
    if factor is None and bias is None:
        return node
    scale = one(out) if factor is None else r.constant(factor, out, steps.layout)
    shift = None if bias is None else r.constant(bias, out, steps.layout)
    return steps.rounded(Scale(scale, shift), node)
