"""Normalisation layers as they act in inference, and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from holdfast.readers.onnx_operators.step import Operator, Step, Value, given, tensor


def _batch(step: Step, values: Sequence[Value]) -> Any:
    x, weight, bias, mean, variance = (tensor(v) for v in values[:5])
    if step.get("training_mode", 0):
        raise step.refuse("training mode", "Export the network with model.eval().")
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, step.get("epsilon", 1e-5))


def _instance(step: Step, values: Sequence[Value]) -> Any:
    x, weight, bias = (tensor(v) for v in values[:3])
    return F.instance_norm(x, weight=weight, bias=bias, eps=step.get("epsilon", 1e-5))


def _layer(step: Step, values: Sequence[Value]) -> Any:
    x, weight = tensor(values[0]), tensor(values[1])
    bias = None if given(values, 2) is None else tensor(values[2])
    axis = step.get("axis", -1)
    shape = list(x.shape[axis:])
    eps = step.get("epsilon", 1e-5)
    if list(weight.shape) == shape and (bias is None or list(bias.shape) == shape):
        return F.layer_norm(x, shape, weight, bias, eps)
    out = F.layer_norm(x, shape, eps=eps) * weight
    return out if bias is None else out + bias


def _group(step: Step, values: Sequence[Value]) -> Any:
    x, weight, bias = (tensor(v) for v in values[:3])
    groups = step.get("num_groups")
    if len(weight) == groups != x.shape[1]:  # version 18: one factor for each group
        weight, bias = (v.repeat_interleave(x.shape[1] // groups) for v in (weight, bias))
    return F.group_norm(x, groups, weight, bias, step.get("epsilon", 1e-5))


def _softmax(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    apply = torch.softmax if step.operator == "Softmax" else torch.log_softmax
    if step.version >= 13:
        return apply(x, step.get("axis", -1))
    axis = step.get("axis", 1) % x.dim()
    if axis == x.dim() - 1:
        return apply(x, axis)
    return apply(x.flatten(axis), axis).reshape(x.shape)


def _length(step: Step, values: Sequence[Value]) -> Any:
    x, axis = tensor(values[0]), step.get("axis", -1)
    return x / torch.linalg.vector_norm(x, ord=step.get("p", 2), dim=axis, keepdim=True)


OPERATORS: dict[str, Operator] = {
    "BatchNormalization": _batch, "InstanceNormalization": _instance,
    "LayerNormalization": _layer, "GroupNormalization": _group, "Softmax": _softmax,
    "LogSoftmax": _softmax, "LpNormalization": _length,
}  # fmt: skip
