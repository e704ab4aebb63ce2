"""Slopes of a model that has none, or none that can be believed, from differences of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from holdfast.core.goal import logits
from holdfast.core.kinds import Model


@dataclass(eq=False)
class Estimated:
    """Slopes from differences of outputs at random pairs of nearby points; needs only scores.

    Args:
        model: any function of inputs.
        spread: deviation of the points around the input.
        samples: pairs per slope; each costs two forwards.
    """

    model: Model
    spread: float
    samples: int = 32

    def __call__(self, x: Tensor) -> Tensor:
        z: Any = _Differences.apply(x, self.model, self.spread, self.samples)  # type: ignore[no-untyped-call]
        return z  # type: ignore[no-any-return]


class _Differences(torch.autograd.Function):
    """The model forwards; backwards, random directions weighted by the differences along them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, model: Model, spread: float, samples: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.about = (model, spread, samples)
        with torch.no_grad():
            return logits(model(x)).detach().clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        model, spread, samples = ctx.about
        total = torch.zeros_like(x)
        with torch.no_grad():
            for _ in range(samples):
                way = torch.randn_like(x)
                gap = logits(model(x + spread * way)) - logits(model(x - spread * way))
                weight = (gap.nan_to_num() * slope).flatten(1).sum(1) / (2 * spread * samples)
                total += weight.reshape(-1, *[1] * (x.dim() - 1)).to(x) * way
        return total, None, None, None
