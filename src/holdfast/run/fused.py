"""Optimizers that move all weights in one pass over memory, where torch has such a pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from holdfast.core.later import Later

_WAYS = ("fused", "foreach", "differentiable", "capturable")
_EXACT = (torch.float32, torch.float64)


def made(make: Later, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """An optimizer for these weights, in torch's single pass where that is right.

    Torch moves the weights of a processor one tensor and one operation at a time unless it is
    told otherwise; in a small net that takes as long as a layer does. Its single pass gives the
    same weights up to the rounding of one operation, but takes for granted that a weight and
    its gradient lie in memory alike (`alike` sees to that), and goes wrong for bfloat16.

    Args:
        make: name and settings; what they say about the way of moving is left as it is.
        parameters: what it moves.

    Returns:
        The optimizer; on accelerators the way that torch chooses.
    """
    optimizer: Optimizer = make(parameters)
    known = make.name.startswith("torch:") and "fused" in optimizer.defaults
    chosen = any(make.settings.get(way) is not None for way in _WAYS)
    if chosen or not known or not all(map(_suits, parameters)):
        return optimizer
    fused: Optimizer = Later(make.name, **make.settings, fused=True)(parameters)
    return fused


def _suits(weight: nn.Parameter) -> bool:
    return weight.device.type == "cpu" and weight.dtype in _EXACT and weight.is_contiguous()


def alike(optimizer: Optimizer) -> None:
    """Before a single pass: lay gradients in memory as their weights lie.

    Gradients that autograd has summed lie so already. Where a weight was exchanged for one that
    lies otherwise, where a gradient is sparse, and where some weights have none (torch's pass
    wants the memory of all of them or of none), the optimizer goes on tensor by tensor.
    """
    if not optimizer.defaults.get("fused"):
        return
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [p.grad for p in weights]
    if all(g is None for g in gradients):
        return
    for p, gradient in zip(weights, gradients, strict=True):
        dense = gradient is not None and gradient.layout is torch.strided
        if gradient is None or not (dense and p.is_contiguous() and p.dtype in _EXACT):
            for settings in (optimizer.defaults, *optimizer.param_groups):
                settings["fused"] = False
            return
        if not gradient.is_contiguous():
            p.grad = gradient.contiguous()
