"""Cyclic translations: what leaves the image on one side enters it on the other."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.fields import NonNegative, settings
from holdfast.threats.images import extent, interpolated, precise
from holdfast.threats.interval import Parameters
from holdfast.threats.number import box, number_and_range, ordered, shown


@register(
    "threat", name="cyclic", cites="rics", says="Moves images cyclically by at most so many pixels."
)
@settings
class Cyclic(Parameters):
    """Moves each image by at most so many pixels along each side, around the edge.

    A change is the move to the right and downwards in radii, `(B, 2)`; between whole pixels it
    is interpolated bilinearly, at whole pixels it is exact. A model that looks at the middle of
    a larger image sees a realistic translation: new content enters on one side, as long as the
    border around the middle is at least as wide as the move.

    Args:
        pixels: largest move along each side.
        low: least valid input value.
        high: largest valid input value.
    """

    pixels: NonNegative = 1.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        ordered(self.low, self.high)

    @property
    def spec(self) -> str:
        return f"cyclic:{shown(self.pixels)}{box(self.low, self.high)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Cyclic:
        """From the words behind the name: pixels, then the range of inputs."""
        pixels, low, high = number_and_range(
            words, text, "cyclic takes a number of pixels and an optional range", "Write cyclic:1."
        )
        return cls(pixels=pixels, low=low, high=high)

    def count(self, x: Tensor) -> int:
        return 2

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        extent(x, self.spec)
        if not x.numel():
            return x + 0 * change.sum()
        kind = precise(x)
        move = change.to(kind) * self.pixels
        whole = move.detach().floor()
        part = (move - whole)[:, :, None, None, None].unbind(1)
        total = torch.zeros_like(x, dtype=kind)
        for right, share in ((0, 1 - part[0]), (1, part[0])):
            for down, other in ((0, 1 - part[1]), (1, part[1])):
                steps = whole + torch.tensor([right, down]).to(whole)
                total = total + share * other * _rolled(x.to(kind), steps.long())
        return interpolated(total, x, self.low, self.high)

    def scaled(self, factor: float) -> Cyclic:
        return replace(self, pixels=self.pixels * factor)


def _rolled(x: Tensor, steps: Tensor) -> Tensor:
    """Each image moved around by whole steps `(B, 2)` to the right and downwards."""
    height, width = x.shape[2:]
    columns = (torch.arange(width, device=x.device) - steps[:, :1]) % width
    rows = (torch.arange(height, device=x.device) - steps[:, 1:]) % height
    each = torch.arange(len(x), device=x.device)[:, None, None]
    return x.movedim(1, -1)[each, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
