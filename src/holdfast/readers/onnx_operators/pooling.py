"""Pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from holdfast.readers.onnx_operators.layers import same_pads
from holdfast.readers.onnx_operators.step import Operator, Step, Value, tensor

_LARGEST = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _pads(step: Step, x: Tensor, kernel: Sequence[int]) -> list[int]:
    """Pads, with what `ceil_mode` adds at the ends."""
    pads = same_pads(step, x.shape[2:], kernel) or []
    if step.get("ceil_mode", 0):
        dims = len(kernel)
        strides = step.get("strides") or [1] * dims
        dilations = step.get("dilations") or [1] * dims
        for i, (k, s, d) in enumerate(zip(kernel, strides, dilations, strict=True)):
            length = x.shape[i + 2] + pads[i] + pads[i + dims] - (k - 1) * d - 1
            steps = -(-length // s)
            if steps * s >= x.shape[i + 2] + pads[i]:  # a window needs one entry of its own
                steps -= 1
            pads[i + dims] += max(0, steps * s - length)
    return pads


def _largest(step: Step, values: Sequence[Value]) -> Any:
    x, kernel = tensor(values[0]), list(step.get("kernel_shape"))
    dims = len(kernel)
    if len(step.outputs) > 1 and step.outputs[1]:
        raise step.refuse("the places of the largest entries", "Only their values are read.")
    pads = _pads(step, x, kernel)
    wide = any(2 * p > k for p, k in zip(pads, kernel * 2, strict=True))  # torch refuses these
    if wide or pads[:dims] != pads[dims:]:
        x, pads = F.pad(x, _both(pads), value=-math.inf), [0] * 2 * dims
    return _LARGEST[dims](
        x, kernel, stride=list(step.get("strides") or [1] * dims), padding=pads[:dims],
        dilation=list(step.get("dilations") or [1] * dims),
    )  # fmt: skip


def _average(step: Step, values: Sequence[Value]) -> Any:
    x, kernel = tensor(values[0]), list(step.get("kernel_shape"))
    dims = len(kernel)
    if any(d != 1 for d in step.get("dilations") or ()):
        raise step.refuse("dilation", "Write it as a convolution.")
    strides = list(step.get("strides") or [1] * dims)
    pads = _pads(step, x, kernel)
    if not any(pads):
        return _AVERAGE[dims](x, kernel, stride=strides)
    own = same_pads(step, x.shape[2:], kernel) or []
    means = _AVERAGE[dims](F.pad(x, _both(pads)), kernel, stride=strides)
    # The share of a window that counts: pads do if the file says so, what ceil_mode adds never.
    ones = F.pad(x.new_ones(1, 1, *x.shape[2:]), _both(own), value=step.get("count_include_pad", 0))
    ones = F.pad(ones, _both([a - b for a, b in zip(pads, own, strict=True)]))
    return means / _AVERAGE[dims](ones, kernel, stride=strides)


def _both(pads: Sequence[int]) -> list[int]:
    """Pads in the order of torch: the last axis first, start and end together."""
    dims = len(pads) // 2
    return [n for i in reversed(range(dims)) for n in (pads[i], pads[i + dims])]


def _global_average(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    return x.mean(dim=list(range(2, x.dim())), keepdim=True)


def _global_largest(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    return x.amax(dim=list(range(2, x.dim())), keepdim=True)


OPERATORS: dict[str, Operator] = {
    "MaxPool": _largest, "AveragePool": _average, "GlobalAveragePool": _global_average,
    "GlobalMaxPool": _global_largest,
}  # fmt: skip
