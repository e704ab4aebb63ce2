"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from holdfast.readers.onnx_operators.step import Operator, Step, Value, given, tensor

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _over(function: Reduction) -> Operator:
    def operator(step: Step, values: Sequence[Value]) -> Any:
        x = tensor(values[0])
        axes = step.get("axes")
        if axes is None and (value := given(values, 1)) is not None:
            axes = step.integers(value, "the axes")
        if not axes and step.get("noop_with_empty_axes", 0):
            return x
        dims = [a % x.dim() for a in axes] if axes else list(range(x.dim()))
        return function(x, dims, bool(step.get("keepdims", 1)))

    return operator


def _prod(x: Tensor, dims: list[int], keep: bool) -> Tensor:
    for axis in sorted(dims, reverse=True):
        x = x.prod(dim=axis, keepdim=keep)
    return x


def _place(step: Step, values: Sequence[Value]) -> Any:
    if step.get("select_last_index", 0):
        raise step.refuse("the last of several equal entries")
    choose = torch.argmax if step.operator == "ArgMax" else torch.argmin
    x = tensor(values[0])
    return choose(x, dim=step.get("axis", 0), keepdim=bool(step.get("keepdims", 1)))


def _cumulated(step: Step, values: Sequence[Value]) -> Any:
    if step.get("exclusive", 0) or step.get("reverse", 0):
        raise step.refuse("exclusive or reverse sums")
    return torch.cumsum(tensor(values[0]), step.integers(values[1], "the axis")[0])


OPERATORS: dict[str, Operator] = {
    "ReduceMean": _over(lambda x, d, k: x.mean(dim=d, keepdim=k)),
    "ReduceSum": _over(lambda x, d, k: x.sum(dim=d, keepdim=k)),
    "ReduceMax": _over(lambda x, d, k: x.amax(dim=d, keepdim=k)),
    "ReduceMin": _over(lambda x, d, k: x.amin(dim=d, keepdim=k)),
    "ReduceL1": _over(lambda x, d, k: x.abs().sum(dim=d, keepdim=k)),
    "ReduceL2": _over(lambda x, d, k: (x * x).sum(dim=d, keepdim=k).sqrt()),
    "ReduceSumSquare": _over(lambda x, d, k: (x * x).sum(dim=d, keepdim=k)),
    "ReduceLogSumExp": _over(lambda x, d, k: torch.logsumexp(x, dim=d, keepdim=k)),
    "ReduceLogSum": _over(lambda x, d, k: x.sum(dim=d, keepdim=k).log()),
    "ReduceProd": _over(_prod), "ArgMax": _place, "ArgMin": _place, "CumSum": _cumulated,
}  # fmt: skip
