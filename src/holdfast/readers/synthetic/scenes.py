"""Scenes of several objects with their label maps and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Inner
from holdfast.measures.outputs.boxes import Boxes

SIDE, CELL, KINDS = 32, 16, ("square", "disc", "cross")
CELLS = (SIDE // CELL) ** 2
GROUND = 0.25


def layout(n: int, dice: Dice, share: float) -> tuple[Tensor, Tensor]:
    """Which object lies in each cell, and its box.

    Returns:
        `(n, 4)` kinds, 0 for none and 1 to 3 else, one object at least, and `(n, 4, 4)` boxes in
        pixels: left, top, right, bottom.
    """
    kind = torch.where(dice.uniform((CELLS,)) < share, 1 + dice.integers(len(KINDS), (CELLS,)), 0)
    sure = torch.nn.functional.one_hot(dice.integers(CELLS), CELLS).bool()
    kind = torch.where(sure & (kind == 0), 1 + dice.integers(len(KINDS), (CELLS,)), kind)
    size = 7 + 2 * dice.integers(4, (CELLS,))  # odd, so that there is a middle
    corner = (dice.uniform((CELLS, 2)) * (CELL - 1 - size[..., None])).long()
    cell = torch.arange(CELLS)
    start = torch.stack([cell % 2, cell // 2], 1) * CELL + corner
    return kind, torch.cat([start, start + size[..., None]], 2)


def drawn(kind: Tensor, box: Tensor) -> Tensor:
    """`(n, H, W)` label maps: 0 for ground, else the kind."""
    at = torch.arange(SIDE) + 0.5
    low, high = box[..., :2].double(), box[..., 2:].double()
    middle, half = (low + high) / 2, (high - low) / 2
    across = (at[None, None, None, :] - middle[..., 0, None, None]).abs() / half[..., 0, None, None]
    down = (at[None, None, :, None] - middle[..., 1, None, None]).abs() / half[..., 1, None, None]
    square = torch.maximum(across, down) < 1
    disc = across**2 + down**2 < 1
    cross = square & (torch.minimum(across, down) < 0.35)
    none = torch.zeros_like(square)
    each = torch.stack([none, square, disc, cross])  # (4, n, cells, H, W)
    at_kind = each.gather(0, kind[None, :, :, None, None].expand(1, *square.shape))[0]
    return (at_kind * kind[:, :, None, None]).amax(1)


def painted(labels: Tensor, dice: Dice) -> Tensor:
    """`(n, 1, H, W)` images of label maps: each kind has its brightness, all have noise.

    Args:
        labels: `(n, H, W)`; what is not labelled (-100) is painted as ground.
        dice: of the noise.
    """
    tone = torch.tensor((GROUND, 0.9, 0.7, 0.5))[labels.clamp(min=0)]
    noise = 0.03 * dice.normal(labels.shape[1:])
    return (tone + noise).clamp(0, 1)[:, None]


@dataclass(frozen=True, eq=False)
class Scenes:
    """The truth about scenes.

    Args:
        kind: `(n, 4)` objects by cell, 0 for none.
        box: `(n, 4, 4)` their boxes.
    """

    kind: Tensor
    box: Tensor

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: how many cells hold an object, less one."""
        bright = x > GROUND + 0.17  # noise is far below, the faintest object far above
        cells = bright.unfold(2, CELL, CELL).unfold(3, CELL, CELL).flatten(4).any(4)
        return cells.flatten(1).sum(1) - 1

    def boxes(self) -> Boxes:
        """All objects as true boxes; kinds count from 0."""
        image, cell = (self.kind > 0).nonzero().unbind(1)
        return Boxes(image, self.kind[image, cell] - 1, self.box[image, cell].double())


@register("source", cites="coco-o", says="Scenes of shapes with boxes and label maps.")
def scenes(n: int, dice: Dice, *, share: Inner = 0.45) -> Batches:
    """Grey images of 32 by 32 pixels with one to four squares, discs and crosses.

    The label of a scene is how many objects it holds, less one. `more["map"]` is the class of
    each pixel (0 for ground), `truth.boxes()` are the boxes, so one source serves counting,
    segmentation and detection. Every quarter holds one object at most, so none hides another.

    Args:
        n: scenes.
        dice: `n` of them.
        share: of quarters that hold an object; one always does.
    """
    kind, box = layout(n, dice, share)
    labels = drawn(kind, box)
    y = (kind > 0).sum(1) - 1
    names = ("one", "two", "three", "four")
    x = painted(labels, dice)
    return Batches(x=x, y=y, classes=names, more={"map": labels}, truth=Scenes(kind, box))
