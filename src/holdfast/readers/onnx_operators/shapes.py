"""Operators that change the shape of a value, or compute with shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast.readers.onnx_operators.step import Operator, Step, Value, given, tensor


def _flatten(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    axis = step.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    if axis == 0:  # to one row, which stands for the rows
        return x.reshape(step.rows if isinstance(values[0], Tensor) else 1, -1)
    lead = 1
    for size in x.shape[:axis]:
        lead *= size
    return x.reshape(lead, -1)


def _reshape(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    wanted = step.get("shape") or step.integers(given(values, 1), "the shape")
    if not step.get("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    # A leading 1 that the file fixes is the one row that it was exported with.
    if step.rows > 1 and wanted and wanted[0] == 1 and isinstance(values[0], Tensor):
        wanted = [step.rows, *wanted[1:]]
    return x.reshape(list(wanted))


def _axes(step: Step, values: Sequence[Value], dims: int) -> list[int] | None:
    """The axes of Squeeze and its like: an attribute before version 13, an input since."""
    axes = step.get("axes")
    if axes is None and (value := given(values, 1)) is not None:
        axes = step.integers(value, "the axes")
    return None if axes is None else [axis % dims for axis in axes]


def _squeeze(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    axes = _axes(step, values, x.dim())
    if axes is None:
        axes = [i for i, size in enumerate(x.shape) if size == 1]
    kept = [size for i, size in enumerate(x.shape) if i not in axes]
    return x.reshape(kept)


def _unsqueeze(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    raw = step.get("axes") or step.integers(given(values, 1), "the axes")
    sizes = list(x.shape)
    for axis in sorted(axis % (x.dim() + len(raw)) for axis in raw):
        sizes.insert(axis, 1)
    return x.reshape(sizes)


def _transpose(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    return x.permute(list(step.get("perm") or range(x.dim() - 1, -1, -1)))


def _expand(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    wanted = step.integers(values[1], "the shape")
    shape = torch.broadcast_shapes(tuple(x.shape), tuple(wanted))
    return x.expand(list(step.limited(shape)))


def _tile(step: Step, values: Sequence[Value]) -> Any:
    x, times = tensor(values[0]), step.integers(values[1], "the repeats")
    step.limited([a * b for a, b in zip(x.shape, times, strict=True)])
    return x.repeat(times)


def _shape(step: Step, values: Sequence[Value]) -> Any:
    sizes = np.array(tensor(values[0]).shape, dtype=np.int64)
    return sizes[step.get("start", 0) : step.get("end", len(sizes))]


def _size(step: Step, values: Sequence[Value]) -> Any:
    return np.array(tensor(values[0]).numel(), dtype=np.int64)


def _filled(step: Step, values: Sequence[Value]) -> Any:
    value = step.get("value")
    fill = np.zeros(1, np.float32) if value is None else np.asarray(value).reshape(-1)
    shape = step.limited(step.integers(values[0], "the shape"))
    return np.full(tuple(shape), fill[0], dtype=fill.dtype)


def _range(step: Step, values: Sequence[Value]) -> Any:
    start, end, by = (step.number(v, "an end") for v in values)
    step.limited([max(0, int((end - start) / by) + 1)])
    kind = np.asarray(values[0]).dtype
    return np.arange(start, end, by).astype(kind)


def _blocks(step: Step, values: Sequence[Value]) -> Any:
    """DepthToSpace: channels become pixels."""
    x, size = tensor(values[0]), step.get("blocksize")
    b, c, h, w = x.shape
    if step.get("mode", "DCR") == "CRD":
        return torch.nn.functional.pixel_shuffle(x, size)
    parts = x.reshape(b, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(b, c // size**2, h * size, w * size)


def _unblocks(step: Step, values: Sequence[Value]) -> Any:
    """SpaceToDepth: pixels become channels."""
    x, size = tensor(values[0]), step.get("blocksize")
    b, c, h, w = x.shape
    parts = x.reshape(b, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(b, c * size**2, h // size, w // size)


OPERATORS: dict[str, Operator] = {
    "Flatten": _flatten, "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Transpose": _transpose, "Expand": _expand, "Tile": _tile, "Shape": _shape, "Size": _size,
    "ConstantOfShape": _filled, "Range": _range, "DepthToSpace": _blocks,
    "SpaceToDepth": _unblocks,
}  # fmt: skip
