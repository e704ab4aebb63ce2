"""Operators that pick, join, split or pad entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.readers.onnx_operators.step import Operator, Step, Value, given, tensor

_FAR = 2**31 - 1  # and beyond: to the end


def _concat(step: Step, values: Sequence[Value]) -> Any:
    parts = [tensor(v) for v in values]
    axis = step.get("axis", 1)
    axis += parts[0].dim() if axis < 0 else 0
    rows = max(len(p) for p in parts) if parts[0].dim() else 0
    if axis and step.rows > 1 and any(isinstance(v, Tensor) for v in values):
        # A constant with one row stands beside every row.
        parts = [p.expand(rows, *p.shape[1:]) if len(p) == 1 else p for p in parts]
    return torch.cat(parts, axis)


def _slice(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])

    def listed(key: str, place: int) -> list[int] | None:
        if (found := step.get(key)) is not None:
            return list(found)
        value = given(values, place)
        return None if value is None else step.integers(value, key)

    starts, ends = listed("starts", 1) or [], listed("ends", 2) or []
    axes = listed("axes", 3) or list(range(len(starts)))
    steps = listed("steps", 4) or [1] * len(starts)
    for start, end, axis, by in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        if by > 0:
            places = range(*slice(start, min(end, _FAR), by).indices(size))
            if by == 1:
                x = x.narrow(axis, min(places.start, size), len(places))
                continue
        else:
            last = None if end <= -_FAR or end < -size else end
            places = range(*slice(min(start, _FAR), last, by).indices(size))
        x = x.index_select(axis, torch.tensor(list(places), dtype=torch.long))
    return x


def _split(step: Step, values: Sequence[Value]) -> Any:
    x, axis = tensor(values[0]), step.get("axis", 0)
    sizes = step.get("split")
    if sizes is None and (value := given(values, 1)) is not None:
        sizes = step.integers(value, "the sizes")
    if sizes is None:
        parts = len(step.outputs)
        each = -(-x.shape[axis] // parts)
        sizes = [min(each, x.shape[axis] - i * each) for i in range(parts)]
    return tuple(torch.split(x, list(sizes), axis))


def _gather(step: Step, values: Sequence[Value]) -> Any:
    x, axis = tensor(values[0]), step.get("axis", 0)
    axis += x.dim() if axis < 0 else 0
    places = tensor(values[1]).long()
    places = torch.where(places < 0, places + x.shape[axis], places)
    if not isinstance(values[1], Tensor) and places.dim() == 0:
        return x.select(axis, int(places))
    found = x.index_select(axis, places.reshape(-1))
    return found.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


def _gather_entries(step: Step, values: Sequence[Value]) -> Any:
    x, axis = tensor(values[0]), step.get("axis", 0)
    places = tensor(values[1]).long()
    return torch.gather(x, axis, torch.where(places < 0, places + x.shape[axis], places))


def _pad(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    pads = step.get("pads")
    if pads is None:
        pads = step.integers(given(values, 1), "the pads")
    value = given(values, 2)
    fill = step.get("value", 0.0) if value is None else step.number(value, "the filling")
    axes = range(x.dim())
    if (chosen := given(values, 3)) is not None:
        axes = [a % x.dim() for a in step.integers(chosen, "the axes")]  # type: ignore[assignment]
    before, after = [0] * x.dim(), [0] * x.dim()
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[i + len(pads) // 2]
    step.limited([a + b + c for a, b, c in zip(before, x.shape, after, strict=True)])
    both = [n for axis in reversed(range(x.dim())) for n in (before[axis], after[axis])]
    while len(both) > 2 and both[-2:] == [0, 0]:  # torch pads few axes in its other modes
        both = both[:-2]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    kind = mode[step.get("mode", "constant")]
    return F.pad(x, both, kind, fill) if kind == "constant" else F.pad(x, both, kind)


OPERATORS: dict[str, Operator] = {
    "Concat": _concat, "Slice": _slice, "Split": _split, "Gather": _gather,
    "GatherElements": _gather_entries, "Pad": _pad,
}  # fmt: skip
