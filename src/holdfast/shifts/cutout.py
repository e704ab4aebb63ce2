"""A grey square over part of each image."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import Share
from holdfast.ops.compose import drawn_boxes
from holdfast.shifts.published import Published, Row, on_images

SIDE = Published(none=(0.0,), tables={32: tuple((0.1 * k,) for k in range(1, 6))})


@register("shift", cites="cutmix", says="A square of each image becomes grey.")
def cutout(batch: Batch, severity: float, dice: Dice | None = None, *, value: Share = 0.5) -> Batch:
    """Covers a square of each image, its middle drawn anywhere and its rim cut off at the border.

    At severity 1 its side is half that of the image, a quarter of the pixels at most. As an
    augmentation: `hook:augment` with this shift; labels stay.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1], twice the side as a share of the image's.
        dice: one row per image.
        value: of the square.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        middle = dice.uniform((2,), device=x.device)
        area = torch.full((len(x),), row[0] ** 2, dtype=torch.float64, device=x.device)
        inside = drawn_boxes(area, middle, x.shape[2:])[:, None]
        return x.masked_fill(inside, value)

    return on_images(batch, severity, dice, "cutout", SIDE, change)
