"""Gradients cut to a length."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.fields import Positive, settings
from holdfast.core.kinds import Hook, Run


def _trained(run: Run) -> list[nn.Parameter]:
    both = [*run.model.parameters(), *run.parts.parameters()]
    return [p for p in both if p.grad is not None]


@register("hook", cites="pascanu2013difficulty", says="Shorten a gradient that is too long.")
@settings
class ClipNorm(Hook):
    """Clip by norm: scale the whole gradient down to a length if it is longer.

    One factor for all weights: the direction stays, and gradients within the limit keep their
    bits. A gradient that is not finite becomes zero, so that one bad step does not end the run.

    Args:
        limit: largest length, over all weights together.
    """

    neutral: ClassVar[dict[str, Any]] = {"limit": 1e30}

    limit: Positive = 1.0

    @torch.no_grad()
    def gradients(self, run: Run) -> None:
        gradients = [p.grad for p in _trained(run) if p.grad is not None]
        if not gradients:
            return
        length = torch.stack([_norm(g) for g in gradients]).norm()
        factor = torch.where(length > self.limit, self.limit / length, torch.ones_like(length))
        for gradient in gradients:
            cut = gradient.masked_fill(~length.isfinite().to(gradient.device), 0.0)
            gradient.copy_(cut * factor.to(gradient))


def _norm(gradient: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(gradient, dtype=torch.float64)
    return length.cpu()


@register("hook", cites="agc", says="Shorten gradients that are long for their weights.")
@settings
class AdaptiveClip(Hook):
    """Adaptive clipping: per output unit, no gradient longer than a share of its weights.

    For each row of a matrix, each filter of a convolution, and each vector as a whole:
    `|g| <= limit * max(|w|, floor)`, by scaling g. So the largest relative change per step is
    the same for all units, whatever their scale. Units within the limit keep their bits. Units
    are counted along the first axis, which in a transposed convolution is that of its inputs.

    Args:
        limit: longest gradient in lengths of the weights; 0.01 suits batches of thousands, small
            ones bear up to 0.16.
        floor: least length that weights count with, so that zero weights can move.
        spare_head: leave the last linear layer alone, as the paper does, if there are others.
    """

    neutral: ClassVar[dict[str, Any]] = {"limit": 1e30}

    limit: Positive = 0.01
    floor: Positive = 1e-3
    spare_head: bool = True

    @torch.no_grad()
    def gradients(self, run: Run) -> None:
        spared = {id(p) for p in head(run.model)} if self.spare_head else set()
        for p in _trained(run):
            if p.grad is None or id(p) in spared:
                continue
            most = self.limit * unit_norms(p).clamp(min=self.floor)
            length = unit_norms(p.grad)
            factor = torch.where(length > most, most / length, torch.ones_like(length))
            p.grad.mul_(factor)


def unit_norms(w: Tensor) -> Tensor:
    """The length of each output unit, in a shape that multiplies `w`; one for a vector."""
    inner = tuple(range(1, w.dim())) or None
    norms: Tensor = torch.linalg.vector_norm(w, dim=inner, keepdim=True)
    return norms


def head(model: nn.Module) -> list[nn.Parameter]:
    """The weights of the last linear layer, unless it is the only layer with a matrix."""
    layers = [m for m in model.modules() if getattr(m, "weight", None) is not None]
    matrices = [m for m in layers if isinstance(m.weight, Tensor) and m.weight.dim() > 1]
    linear = [m for m in matrices if isinstance(m, nn.Linear)]
    return list(linear[-1].parameters()) if linear and len(matrices) > 1 else []
