"""Errors brought back to one size on their way down."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Positive, Share, settings
from holdfast.core.kinds import Backward, Objective, Run

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@register(
    "backward", cites="orthonormality-modulation", name="modulated",
    says="Back-propagation in which the error keeps its size from layer to layer.",
)  # fmt: skip
@settings
class Modulated(Backward):
    """Back-propagation whose error has the same size at every linear and convolutional layer.

    Normalisation and ReLU spoil what orthonormal filters keep: the error grows or fades from layer
    to layer, by the hundredth layer beyond use. So at the output of each layer it is multiplied
    by the ratio of its root mean square at the topmost layer to its own, within a limit. Behind
    `until` of the run, when learning is under way, it is plain back-propagation.

    Unlike the paper, which prints no schedule: the ratio is taken at every layer, cut off at
    `limit`, and ends at a fixed share of the run.

    Cost: one backward pass over what the objective computed.

    Args:
        limit: largest factor, and the inverse of the least one.
        until: share of the run.
    """

    limit: Positive = 10.0
    until: Share = 0.2

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor:
        top: list[Tensor] = []
        handles: list[Any] = []
        under_way = False

        def modulate(error: Tensor) -> Tensor:
            if not under_way:  # an attack inside the objective asks for true slopes
                return error
            size = error.square().mean().sqrt()
            if not top:
                top.append(size)
                return error
            ratio = top[0] / size.clamp(min=torch.finfo(size.dtype).tiny)
            return error * ratio.clamp(1 / self.limit, self.limit)

        def watch(module: nn.Module, given: Any, out: Tensor) -> None:
            if isinstance(out, Tensor) and out.requires_grad:
                out.register_hook(modulate)

        try:
            if run.progress < self.until:
                layers = [m for m in run.model.modules() if isinstance(m, LAYERS)]
                handles = [m.register_forward_hook(watch) for m in layers]
            losses = objective(run, batch)
        finally:
            for handle in handles:
                handle.remove()
        under_way = True
        losses.mean().backward()
        return losses.detach()
