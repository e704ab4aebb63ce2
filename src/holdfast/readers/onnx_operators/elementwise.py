"""Operators on each entry by itself, with broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.readers.onnx_operators.step import Operator, Step, Value, given, tensor

# ONNX numbers of element types.
TYPES: dict[int, torch.dtype] = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32,
    7: torch.int64, 9: torch.bool, 10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda step, values: function(tensor(values[0]))


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def operator(step: Step, values: Sequence[Value]) -> Any:
        return function(tensor(values[0]), tensor(values[1]))

    return operator


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda step, values: reduce(function, map(tensor, values))


def _clip(step: Step, values: Sequence[Value]) -> Any:
    low, high = given(values, 1), given(values, 2)
    least = step.get("min") if low is None else step.number(low, "the lower end")
    most = step.get("max") if high is None else step.number(high, "the upper end")
    if least is None and most is None:
        return values[0]
    return torch.clamp(tensor(values[0]), min=least, max=most)


def _cast(step: Step, values: Sequence[Value]) -> Any:
    if (kind := TYPES.get(step.get("to"))) is None:
        raise step.refuse(f"there is no element type {step.get('to')} in torch")
    return tensor(values[0]).to(kind)


def _divided(a: Tensor, b: Tensor) -> Tensor:
    if a.is_floating_point() or b.is_floating_point():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


def _elu(step: Step, values: Sequence[Value]) -> Any:
    return F.elu(tensor(values[0]), alpha=step.get("alpha", 1.0))


def _celu(step: Step, values: Sequence[Value]) -> Any:
    return F.celu(tensor(values[0]), alpha=step.get("alpha", 1.0))


def _selu(step: Step, values: Sequence[Value]) -> Any:
    alpha = step.get("alpha", 1.6732632423543772)
    gamma = step.get("gamma", 1.0507009873554805)
    return gamma * F.elu(tensor(values[0]), alpha=alpha)


def _leaky(step: Step, values: Sequence[Value]) -> Any:
    return F.leaky_relu(tensor(values[0]), step.get("alpha", 0.01))


def _prelu(step: Step, values: Sequence[Value]) -> Any:
    x, slope = tensor(values[0]), tensor(values[1])
    return x.clamp(min=0) + slope * x.clamp(max=0)


def _threshold(step: Step, values: Sequence[Value]) -> Any:
    return F.threshold(tensor(values[0]), step.get("alpha", 1.0), 0.0)


def _hard_sigmoid(step: Step, values: Sequence[Value]) -> Any:
    alpha, beta = step.get("alpha", 0.2), step.get("beta", 0.5)
    return torch.clamp(alpha * tensor(values[0]) + beta, min=0.0, max=1.0)


def _hard_swish(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    return x * torch.clamp(x / 6 + 0.5, min=0.0, max=1.0)


def _gelu(step: Step, values: Sequence[Value]) -> Any:
    kind = step.get("approximate", "none")
    return F.gelu(tensor(values[0]), approximate="tanh" if kind == "tanh" else "none")


def _softplus(step: Step, values: Sequence[Value]) -> Any:
    return F.softplus(tensor(values[0]), threshold=math.inf)


def _modulo(step: Step, values: Sequence[Value]) -> Any:
    divide = torch.fmod if step.get("fmod", 0) else torch.remainder
    return divide(tensor(values[0]), tensor(values[1]))


def _where(step: Step, values: Sequence[Value]) -> Any:
    return torch.where(tensor(values[0]).bool(), tensor(values[1]), tensor(values[2]))


def _mean(step: Step, values: Sequence[Value]) -> Any:
    return reduce(torch.add, map(tensor, values)) / len(values)


def _constant(step: Step, values: Sequence[Value]) -> Any:
    for key, kind in (("value", None), ("value_float", np.float32), ("value_int", np.int64),
                      ("value_floats", np.float32), ("value_ints", np.int64)):  # fmt: skip
        if (found := step.get(key)) is not None:
            return np.asarray(found, dtype=kind)
    raise step.refuse("a constant of another kind than numbers")


OPERATORS: dict[str, Operator] = {
    "Relu": _unary(torch.relu), "Sigmoid": _unary(torch.sigmoid), "Tanh": _unary(torch.tanh),
    "Exp": _unary(torch.exp), "Log": _unary(torch.log), "Sqrt": _unary(torch.sqrt),
    "Abs": _unary(torch.abs), "Neg": _unary(torch.neg), "Sign": _unary(torch.sign),
    "Floor": _unary(torch.floor), "Ceil": _unary(torch.ceil), "Round": _unary(torch.round),
    "Reciprocal": _unary(torch.reciprocal), "Erf": _unary(torch.erf), "Sin": _unary(torch.sin),
    "Cos": _unary(torch.cos), "Tan": _unary(torch.tan), "Atan": _unary(torch.atan),
    "Softsign": _unary(F.softsign), "Mish": _unary(F.mish), "Not": _unary(torch.logical_not),
    "Identity": lambda step, values: values[0], "Dropout": lambda step, values: values[0],
    "Softplus": _softplus, "Elu": _elu, "Celu": _celu, "Selu": _selu, "LeakyRelu": _leaky,
    "PRelu": _prelu, "ThresholdedRelu": _threshold, "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish, "Gelu": _gelu, "Clip": _clip, "Cast": _cast,
    "Add": _binary(torch.add), "Sub": _binary(torch.sub), "Mul": _binary(torch.mul),
    "Div": _binary(_divided), "Pow": _binary(torch.pow), "Mod": _modulo,
    "Max": _folded(torch.maximum), "Min": _folded(torch.minimum), "Sum": _folded(torch.add),
    "Mean": _mean, "Equal": _binary(torch.eq), "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge), "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le), "And": _binary(torch.logical_and),
    "Or": _binary(torch.logical_or), "Where": _where, "Constant": _constant,
}  # fmt: skip
