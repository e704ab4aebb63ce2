"""Operators in float32, for passes that only propose."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.network.operators import Convolution, Operator

PLANE, THIN = 2, 4  # axes of an image; channels up to which summing windows is faster


def single(operator: Any) -> Any:
    """An operator with its numbers in float32."""
    if not isinstance(operator, Operator):
        return operator
    changed: dict[str, Any] = {}
    for field in fields(operator):  # type: ignore[arg-type]
        value = getattr(operator, field.name)
        if isinstance(value, Tensor) and value.dtype == torch.float64:
            changed[field.name] = value.float()
        elif isinstance(value, Operator):
            changed[field.name] = single(value)
    return replace(operator, **changed) if changed else operator  # type: ignore[type-var]


def behind(op: Operator, a: Tensor) -> tuple[Tensor, ...]:
    """What `op.back` gives, for thin convolutions with stride by a faster way."""
    if (
        not isinstance(op, Convolution)
        or len(op.size) != PLANE
        or op.groups > 1
        or op.weight.shape[1] > THIN
        or min(op.stride) == 1
    ):
        return op.back(a)
    windows = op.weight.flatten(1).T @ a.flatten(2)
    kernel = (op.weight.shape[2], op.weight.shape[3])
    return (F.fold(windows, op.size, kernel, op.dilation, op.padding, op.stride),)
