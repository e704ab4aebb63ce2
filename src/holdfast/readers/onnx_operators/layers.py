"""Linear layers and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.readers.onnx_operators.step import Operator, Step, Value, given, tensor

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def _gemm(step: Step, values: Sequence[Value]) -> Any:
    a, b, c = tensor(values[0]), tensor(values[1]), given(values, 2)
    a = a.T if step.get("transA", 0) else a
    b = b if step.get("transB", 0) else b.T  # as the weight of a linear layer
    alpha, beta = step.get("alpha", 1.0), step.get("beta", 1.0)
    if c is None:
        out = F.linear(a, b)
        return out if alpha == 1.0 else alpha * out
    bias = tensor(c)
    bias = bias if beta == 1.0 else beta * bias
    if alpha == 1.0 and bias.numel() == len(b):
        return F.linear(a, b, bias.reshape(-1))
    return alpha * F.linear(a, b) + bias


def _matmul(step: Step, values: Sequence[Value]) -> Any:
    return torch.matmul(tensor(values[0]), tensor(values[1]))


def same_pads(step: Step, sizes: Sequence[int], kernel: Sequence[int]) -> list[int] | None:
    """The pads (all starts, then all ends) of an operator, None where they are not given."""
    kind = step.get("auto_pad", "NOTSET")
    dims = len(kernel)
    if kind in ("NOTSET", "", b""):
        return list(step.get("pads") or [0] * 2 * dims)
    if kind == "VALID":
        return [0] * 2 * dims
    strides = step.get("strides") or [1] * dims
    dilations = step.get("dilations") or [1] * dims
    start, end = [], []
    for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        less, more = total // 2, total - total // 2
        start.append(less if kind == "SAME_UPPER" else more)
        end.append(more if kind == "SAME_UPPER" else less)
    return start + end


def padded(step: Step, x: Tensor, pads: Sequence[int], fill: float = 0.0) -> tuple[Tensor, Any]:
    """The input and the symmetric pads that remain for the operator itself."""
    dims = len(pads) // 2
    start, end = list(pads[:dims]), list(pads[dims:])
    if start == end:
        return x, start
    both = [n for i in reversed(range(dims)) for n in (start[i], end[i])]
    step.limited(
        [*x.shape[:2], *(a + b + c for a, b, c in zip(start, x.shape[2:], end, strict=True))]
    )
    return F.pad(x, both, value=fill), [0] * dims


def _convolution(step: Step, values: Sequence[Value]) -> Any:
    x, weight = tensor(values[0]), tensor(values[1])
    bias = None if given(values, 2) is None else tensor(values[2])
    dims = weight.dim() - 2
    if dims not in _CONVOLUTIONS:
        raise step.refuse(f"convolution over {dims} axes", "1, 2 and 3 axes are read.")
    pads = same_pads(step, x.shape[2:], weight.shape[2:])
    x, pad = padded(step, x, pads or [])
    return _CONVOLUTIONS[dims](
        x, weight, bias, stride=list(step.get("strides") or [1] * dims), padding=pad,
        dilation=list(step.get("dilations") or [1] * dims), groups=step.get("group", 1),
    )  # fmt: skip


def _transposed(step: Step, values: Sequence[Value]) -> Any:
    x, weight = tensor(values[0]), tensor(values[1])
    bias = None if given(values, 2) is None else tensor(values[2])
    dims = weight.dim() - 2
    if dims not in _TRANSPOSED:
        raise step.refuse(f"transposed convolution over {dims} axes", "1 to 3 axes are read.")
    if step.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or step.get("output_shape"):
        raise step.refuse("auto_pad or output_shape", "Export with explicit pads.")
    pads = list(step.get("pads") or [0] * 2 * dims)
    extra = list(step.get("output_padding") or [0] * dims)
    start, end = pads[:dims], pads[dims:]
    even = start == end  # else computed without pads and cut
    out = _TRANSPOSED[dims](
        x, weight, bias, stride=list(step.get("strides") or [1] * dims),
        padding=start if even else 0, output_padding=extra, groups=step.get("group", 1),
        dilation=list(step.get("dilations") or [1] * dims),
    )  # fmt: skip
    for axis, (a, b) in enumerate([] if even else zip(start, end, strict=True)):
        out = out.narrow(axis + 2, a, out.shape[axis + 2] - a - b)
    return out


def _einsum(step: Step, values: Sequence[Value]) -> Any:
    return torch.einsum(step.get("equation"), *[tensor(v) for v in values])


OPERATORS: dict[str, Operator] = {
    "Gemm": _gemm, "MatMul": _matmul, "Conv": _convolution, "ConvTranspose": _transposed,
    "Einsum": _einsum,
}  # fmt: skip
