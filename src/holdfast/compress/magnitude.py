"""Leaving out the smallest weights."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.compress.sites import copied, sites
from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Share, settings
from holdfast.core.kinds import Rewrite


def smallest(scores: Tensor, density: float) -> Tensor:
    """Mask of the entries to keep: exactly `floor((1 - density) n)` of the least are dropped."""
    flat = scores.flatten()
    drop = int((1 - density) * flat.numel() + 1e-9)
    keep = torch.ones_like(flat, dtype=torch.bool)
    keep[flat.argsort(stable=True)[:drop]] = False
    return keep.view_as(scores)


@register("rewrite", cites="magnitude-pruning", says="Set the smallest weights to zero.")
@settings
class MagnitudePruning(Rewrite):
    """Magnitude pruning: set the smallest weights of linear and convolutional layers to zero.

    Among all sets of as many weights, these have the least sum of squares, so they change every
    layer least where inputs are alike in size. Counted exactly by rank, never by a threshold, so
    equal weights make no difference. The zeros are in the weights themselves: the copy has the
    same modules and needs no mask.

    Cost: a sort of the weights; no data.

    Args:
        density: share of the weights that is kept.
        scope: the smallest of all layers together (`global`), of each (`layer`), or of each
            output unit (`row`).
    """

    density: Share = 0.5
    scope: Literal["global", "layer", "row"] = "global"

    def __call__(
        self, model: nn.Module, batches: Batches | None = None, *, dice: Dice | None = None
    ) -> nn.Module:
        new = copied(model)
        weights = list(sites(new).values())
        with torch.no_grad():
            for w, keep in zip(weights, self.masks(weights), strict=True):
                w.masked_fill_(~keep, 0.0)
        return new

    def masks(self, weights: list[nn.Parameter]) -> list[Tensor]:
        """Which entries of each weight are kept."""
        scores = [w.detach().abs() for w in weights]
        if self.scope == "layer":
            return [smallest(s, self.density) for s in scores]
        if self.scope == "row":
            return [torch.stack([smallest(r, self.density) for r in s]) for s in scores]
        joint = smallest(torch.cat([s.flatten() for s in scores]), self.density)
        parts = torch.split(joint, [s.numel() for s in scores])
        return [part.view_as(s) for part, s in zip(parts, scores, strict=True)]
