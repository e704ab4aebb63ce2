"""How clamps become nodes: one ReLU for each end, known to rise."""

from __future__ import annotations

from math import inf
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.network.operators import Scale
from holdfast.certify.reading.layout import Placed
from holdfast.certify.reading.moves import Args, Named, aligned
from holdfast.certify.reading.recorder import Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.sequence import Steps, one, told

Bound = Tensor | float | None


def clamped(steps: Steps, x: int, low: Bound, high: Bound) -> int:
    """`min(max(x, low), high)` with constants."""
    node, unit = x, one(steps.out)
    for end, sign in ((low, 1.0), (high, -1.0)):
        if end is None or (isinstance(end, float) and abs(end) == inf):
            continue
        limit = torch.as_tensor(end, dtype=torch.float64, device=unit.device)
        beyond = steps.relu(steps.inner(Scale(sign * unit, -sign * limit), node))
        node = steps.inner(Scale(sign * unit, limit), beyond)
    if node == x:
        return x
    ends = [None if e is None else torch.as_tensor(e, dtype=torch.float64) for e in (low, high)]
    return told(steps, node, x, lambda t: torch.clamp(t, *ends))


def clamp(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """Clamp, hardtanh and relu6."""
    low = named.get("min", args[1] if len(args) > 1 else None)
    high = named.get("max", args[2] if len(args) > 2 else None)
    return _clamp(r, args[0], low, high, out)


def hardtanh(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """Clamp to [-1, 1] unless said otherwise."""
    low, high = (args[i] if len(args) > i else end for i, end in ((1, -1.0), (2, 1.0)))
    return _clamp(r, args[0], low, high, out)


def clamp_min(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`max(x, low)`."""
    return _clamp(r, args[0], args[1], None, out)


def clamp_max(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`min(x, high)`."""
    return _clamp(r, args[0], None, args[1], out)


def _clamp(r: Recorder, x: Tensor, low: Any, high: Any, out: Tensor) -> Placed:
    if low is not None and not isinstance(low, Tensor) and low == 0 and high is None:
        (node,), layout = aligned(r, [x], out)
        steps = Steps(r, out, layout)
        return steps.placed(steps.relu(node))
    ends = [None if e is None else r.constant(e, out) if not isinstance(e, Tensor) else e
            for e in (low, high)]  # fmt: skip
    given = [e for e in ends if e is not None]
    if any(r.position(e) is not None for e in given):
        raise unsupported("a clamp at values that depend on the input")
    values, layout = aligned(r, [x, *given], out)
    rest = iter(values[1:])
    fixed = [None if e is None else next(rest) for e in ends]
    steps = Steps(r, out, layout)
    return steps.placed(clamped(steps, values[0], *fixed))
