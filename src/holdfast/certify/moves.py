"""How operations that move or add up numbers become nodes: reshapes, transposes, casts, means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.operators import Scale
from holdfast.certify.rearrange import Mean, Permute, Reshape
from holdfast.certify.recorder import Handler, Recorder, unsupported

Args = Sequence[Any]
Named = Mapping[str, Any]


def row(t: Tensor) -> tuple[int, ...]:
    """The shape of one row."""
    return tuple(t.shape[1:])


def only(recorder: Recorder, value: Any, *constants: Any) -> int:
    """The node of the one argument that may depend on the input."""
    position = recorder.position(value)
    if position is None or any(recorder.position(c) is not None for c in constants):
        raise unsupported("a product of two values that both depend on the input")
    return position


def reshape(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """The same numbers of each row in another shape."""
    x = args[0]
    if out.dim() == 0 or len(out) != len(x):
        raise unsupported("a reshape that mixes rows")
    return r.add(Reshape(row(x), row(out)), [only(r, x)], out)


def _permuted(r: Recorder, x: Tensor, order: Sequence[int], out: Tensor) -> int:
    order = tuple(i % x.dim() for i in order)
    if order[0] != 0:
        raise unsupported("a transpose that moves the rows")
    return r.add(Permute(order), [only(r, x)], out)


def permute(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """The axes in another order, rows first."""
    return _permuted(r, args[0], args[1], out)


def transpose(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """Two axes exchanged, not that of the rows."""
    order = list(range(args[0].dim()))
    i, j = args[1], args[2]
    order[i], order[j] = order[j], order[i]
    return _permuted(r, args[0], order, out)


def same(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """A copy, in a wider type the same node; a shorter type rounds."""
    if not out.dtype.is_floating_point:
        raise unsupported(f"a cast to {out.dtype}")
    position = only(r, args[0])
    if torch.promote_types(args[0].dtype, out.dtype) == out.dtype:
        return position
    one = torch.ones((), dtype=torch.float64, device=out.device)
    return r.add(Scale(one), [position], out)  # a shorter type rounds


def summed(mean: bool) -> Handler:
    """Sums or means over axes other than the rows."""

    def handler(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
        x = args[0]
        axes = tuple(sorted(i % x.dim() for i in (args[1] if len(args) > 1 else [])))
        if not axes or 0 in axes:
            raise unsupported("a sum or mean over the rows")
        keep = bool(args[2]) if len(args) > 2 else False
        count = 1
        for i in axes:
            count *= x.shape[i]
        operator = Mean(axes, row(x), keep, 1 / count if mean else 1.0)
        return r.add(operator, [only(r, x)], out)

    return handler
