"""Images whose shape and whose texture each tell a class, and need not tell the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Share

SIDE = 20
SHAPES, TEXTURES = ("square", "disc", "cross"), ("standing", "lying", "checked")
GREY = 0.5
Cue = Literal["shape", "texture"]


def mask_of(shape: Tensor, place: Tensor, reach: Tensor) -> Tensor:
    """`(n, H, W)` bool: where the shape is.

    Args:
        shape: `(n,)` of `SHAPES`.
        place: `(n, 2)` middle, row and column.
        reach: `(n,)` from the middle to the end, in pixels.
    """
    line = torch.arange(SIDE)
    down = (line[None, :, None] - place[:, 0, None, None]).double()
    across = (line[None, None, :] - place[:, 1, None, None]).double()
    far = reach[:, None, None].double()
    square = torch.maximum(down.abs(), across.abs()) <= far
    disc = down**2 + across**2 <= (far + 0.3) ** 2
    cross = square & (torch.minimum(down.abs(), across.abs()) <= far / 4)
    each = torch.stack([square, disc, cross])
    return each[shape, torch.arange(len(shape))]


def texture_of(texture: Tensor, start: Tensor, side: int = SIDE) -> Tensor:
    """`(n, H, W)` in {0, 1}: stripes two pixels wide, or squares of two pixels."""
    line = torch.arange(side)
    down, across = (((line[None] + s[:, None]) // 2) % 2 for s in start.unbind(1))
    lying, standing = down[:, :, None], across[:, None, :]
    full = (len(start), side, side)
    checked = (lying + standing) % 2
    each = torch.stack([standing.expand(full), lying.expand(full), checked])
    return each[texture, torch.arange(len(texture))]


@dataclass(frozen=True, eq=False)
class ShapeTexture:
    """The truth about textured shapes.

    Args:
        cue: which of the two gives the label.
    """

    cue: Cue

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: the class, by what covers the frame or by where brightness alternates."""
        inside = (x[:, 0] - GREY).abs() > 0.1
        if self.cue == "shape":
            tall, wide = inside.any(2).sum(1), inside.any(1).sum(1)
            full = inside.sum((1, 2)) / (tall * wide).clamp(min=1)
            return torch.where(full > 0.95, 0, torch.where(full > 0.7, 1, 2))
        bright = x[:, 0] > GREY
        pairs = (
            (bright[:, :, 1:] != bright[:, :, :-1]) & inside[:, :, 1:] & inside[:, :, :-1],
            (bright[:, 1:] != bright[:, :-1]) & inside[:, 1:] & inside[:, :-1],
        )
        across, down = (p.any((1, 2)) for p in pairs)
        return torch.where(across & down, 2, torch.where(across, 0, 1))


@register("source", cites="biases-vs-generalization", says="Textured shapes whose cues conflict.")
def shape_texture(n: int, dice: Dice, *, cue: Cue = "shape", agree: Share = 1 / 3) -> Batches:
    """Squares, discs and crosses filled with stripes or squares, on grey.

    `more` holds `shape` and `texture` of every image, so that decisions under conflict can be
    counted (`measure:shape-bias`). With `agree=1` either cue tells the class; at 1/3, the default,
    the other cue says nothing.

    Args:
        n: images.
        dice: `n` of them.
        cue: which gives the label.
        agree: share of images whose other cue is of the label's class.
    """
    y = torch.arange(n) % 3
    step = 1 + dice.integers(2)
    other = torch.where(dice.uniform(dtype=torch.float64) < agree, y, (y + step) % 3)
    shape, texture = (y, other) if cue == "shape" else (other, y)
    reach = 5 + dice.integers(3)
    place = SIDE // 2 - 1 + dice.integers(3, (2,))
    inside = mask_of(shape, place, reach)
    fill = 0.15 + 0.7 * texture_of(texture, dice.integers(4, (2,)))
    noise = 0.02 * dice.normal((SIDE, SIDE))
    x = (torch.where(inside, fill, torch.tensor(GREY)) + noise).clamp(0, 1)
    more = {"shape": shape, "texture": texture}
    names = SHAPES if cue == "shape" else TEXTURES
    return Batches(x=x[:, None].float(), y=y, classes=names, more=more, truth=ShapeTexture(cue))
