"""Weights on a grid of few values."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from holdfast.compress.sites import copied, output_axis, sites
from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Natural, settings
from holdfast.core.kinds import Rewrite

Bits = Annotated[int, Field(ge=2, le=16)]


@register("rewrite", cites="rtn", name="rtn", says="Round weights to the nearest of a few values.")
@settings
class RoundToNearest(Rewrite):
    """Round to nearest: each weight becomes the closest value of an even grid of `2^bits`.

    Every group of weights has a grid of its own: symmetric about zero, or from the least weight
    to the largest (stretched to hold zero, so that zero stays exactly zero). No weight moves by
    more than half a step. The copy holds the rounded values as ordinary weights, which is what
    decides its accuracy and robustness.

    Cost: one look at each weight; no data.

    Args:
        bits: per weight, from 2 to 16.
        symmetric: a grid symmetric about zero, without an offset.
        per_channel: one grid per output unit, else one per weight tensor.
        group: inputs that share a grid within one output unit; 0 means all of them.
    """

    bits: Bits = 8
    symmetric: bool = True
    per_channel: bool = True
    group: Natural = 0

    def __call__(
        self, model: nn.Module, batches: Batches | None = None, *, dice: Dice | None = None
    ) -> nn.Module:
        new = copied(model)
        with torch.no_grad():
            for w in sites(new).values():
                axis = output_axis(new, w)
                w.copy_(self.rounded(w.movedim(axis, 0))[0].movedim(0, axis))
        return new

    def rounded(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest grid values, and the step of each weight's grid, in the form of `w`.

        Args:
            w: weights, output units first.
        """
        flat = w.detach().to(torch.promote_types(w.dtype, torch.float32)).flatten(1)
        units, inputs = flat.shape
        size = self.group if self.per_channel and self.group else inputs
        padded = F.pad(flat, (0, -inputs % size))
        groups = padded.reshape(-1, size) if self.per_channel else padded.reshape(1, -1)
        step, value = self._grid(groups)
        back = [v.reshape(units, -1)[:, :inputs].reshape(w.shape) for v in (value, step)]
        return back[0].to(w.dtype), back[1]

    def _grid(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Steps and rounded values of groups `(G, n)`."""
        if self.symmetric:
            top = 2 ** (self.bits - 1) - 1
            step = groups.abs().amax(1, keepdim=True) / top
            step = torch.where(step > 0, step, 1.0)
            value = (groups / step).round().clamp(-top - 1, top) * step
        else:
            top = 2**self.bits - 1
            low = groups.amin(1, keepdim=True).clamp(max=0)
            high = groups.amax(1, keepdim=True).clamp(min=0)
            step = (high - low) / top
            step = torch.where(step > 0, step, 1.0)
            zero = (-low / step).round().clamp(0, top)
            value = ((groups / step).round() + zero).clamp(0, top).sub(zero) * step
        return step.expand_as(groups), value
