"""Sharpness-aware steps whose radius is larger for neurons that matter less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later
from holdfast.optim.sam import SAM


@register(
    "optimizer", cites="adasap", name="adasap", says="SAM that moves what matters less further."
)
class AdaptiveSAM(SAM):
    """SAM with a radius per neuron: the least important is moved furthest.

    A neuron is a row of a matrix or a filter of a convolution; it matters as much as its length
    does among those of its layer, from 0 (the shortest) to 1 (the longest). Its radius falls
    linearly from `radius` to `least` with that, so neurons that pruning is about to remove end up
    where the loss is flat in them, and removing them costs little. The direction is that of SAM,
    with one norm of the gradient over all weights, so that with `least == radius` and no
    zeros it is SAM.
    Vectors (biases, scales) get the smallest radius. What is exactly zero, a whole neuron or a
    number of a vector, has been removed and is left out of everything.

    Unlike the paper: importance is scaled within each layer, since lengths of different layers do
    not compare; the published units of the radius are those of its own normaliser.

    Cost per step: two evaluations of the closure; one copy of the weights.

    Args:
        params: what is trained.
        base: makes the optimizer that takes the step.
        radius: of the least important neurons, in the unit of the weights.
        least: of the most important ones, at most the radius.

    Attributes:
        uniform: whether all neurons get the largest radius; hooks set it once pruning is over.

    Raises:
        ConfigError: unless `0 <= least <= radius`.
    """

    uniform = False

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        base: Later | Mapping[str, Any] | str = Later("torch:SGD", lr=0.1, momentum=0.9),  # noqa: B008
        radius: float = 0.2,
        least: float = 0.01,
    ) -> None:
        if not 0 <= least <= radius:
            raise ConfigError(
                f"AdaptiveSAM: least is {least}, radius {radius}", fix="Use least=0.01, radius=0.2."
            )
        super().__init__(params, base=base, radius=radius)
        self.least = least

    def radii(self, w: Tensor) -> Tensor:
        """The radius of each neuron of a weight, in a shape that multiplies it; 0 if removed."""
        if w.dim() < 2:
            return (w.detach() != 0) * (self.radius if self.uniform else self.least)
        length = w.detach().flatten(1).norm(dim=1)
        alive = length > 0
        low = length.masked_fill(~alive, torch.inf).amin()
        span = (length.amax() - low).clamp(min=torch.finfo(length.dtype).tiny)
        matters = ((length - low) / span).clamp(0, 1)
        own = torch.full_like(length, self.radius)
        if not self.uniform:
            own = self.radius - matters * (self.radius - self.least)
        found: Tensor = (own * alive).reshape(-1, *[1] * (w.dim() - 1))
        return found

    @torch.no_grad()
    def _climb(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Move to the worst weights, each neuron as far as its radius says."""
        every = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not every:
            return []
        radii = [self.radii(p) for p in every]
        slopes = [p.grad * (r > 0) for p, r in zip(every, radii, strict=True)]
        length = torch.stack([s.norm().to(slopes[0]) for s in slopes]).norm()
        scale = torch.where(length > 0, 1 / length, 0.0).nan_to_num(0.0, 0.0, 0.0)
        moved = [(p, p.clone()) for p in every]
        for p, slope, own in zip(every, slopes, radii, strict=True):
            p.add_((slope * own * scale.to(slope)).nan_to_num(0.0, 0.0, 0.0))
        return moved
