"""How piecewise linear functions of one value become nodes: sums of ReLUs, known to rise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.certify.network.known import Known
from holdfast.certify.network.operators import Scale
from holdfast.certify.network.rearrange import Total
from holdfast.certify.reading.clamps import clamped
from holdfast.certify.reading.layout import Placed
from holdfast.certify.reading.moves import Args, Named, aligned
from holdfast.certify.reading.recorder import Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.sequence import Steps, one
from holdfast.ops.interval import Box, widen


def relu(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`max(x, 0)`."""
    (node,), layout = aligned(r, args[:1], out)
    steps = Steps(r, out, layout)
    return steps.placed(steps.relu(node))


def absolute(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`|x| = 2 relu(x) - x`."""
    (node,), layout = aligned(r, args[:1], out)
    steps = Steps(r, out, layout)
    found = steps.inner(Total((2.0, -1.0)), steps.relu(node), node)

    def holds(boxes: Sequence[Box]) -> Box:
        low, high = boxes[1]
        return Box(torch.maximum(low, -high).clamp(min=0), torch.maximum(high, -low))

    return steps.placed(steps.inner(Known(holds=holds, others=(steps.shape,)), found, node))


def leaky(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`s x + (1 - s) relu(x)`, s a number or a constant per channel."""
    slope = args[1] if len(args) > 1 else 0.01
    if not isinstance(slope, Tensor):
        slope = torch.tensor(float(slope), dtype=torch.float64, device=out.device)
    if r.position(slope) is not None:
        raise unsupported("a slope that depends on the input")
    (node, s), layout = aligned(r, [args[0], slope], out)
    steps = Steps(r, out, layout)
    parts = steps.inner(Scale(s), node), steps.inner(Scale(1 - s), steps.relu(node))
    found = steps.inner(Total((1.0, 1.0)), *parts)

    def holds(boxes: Sequence[Box]) -> Box:
        low, high = (torch.where(end > 0, end, s * end) for end in boxes[1])
        return widen(low, high, 0.0)  # the product is rounded

    if bool((s >= 0).all()):
        found = steps.inner(Known(holds=holds, others=(steps.shape,)), found, node)
    return steps.placed(steps.rounded(Known(), found))


def hard_sigmoid(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`min(max(x + 3, 0), 6) / 6`."""
    (node,), layout = aligned(r, args[:1], out)
    steps = Steps(r, out, layout)
    shifted = steps.rounded(Scale(one(out), 3 * one(out)), node)
    return steps.placed(steps.rounded(Scale(one(out) / 6), clamped(steps, shifted, 0.0, 6.0)))


def threshold(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """ReLU written as a threshold."""
    if float(args[1]) != 0 or float(args[2]) != 0:
        raise unsupported("a threshold other than zero", "Use torch.relu or clamp.")
    return relu(r, args, named, out)


def soft_shrink(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`relu(x - b) - relu(-x - b)`."""
    b = (float(args[1]) if len(args) > 1 else 0.5) * one(out)
    (node,), layout = aligned(r, args[:1], out)
    steps = Steps(r, out, layout)
    above = steps.relu(steps.rounded(Scale(one(out), -b), node))
    below = steps.relu(steps.rounded(Scale(-one(out), -b), node))
    return steps.placed(steps.inner(Total((1.0, -1.0)), above, below))
