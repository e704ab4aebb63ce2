"""What cameras and files do to pictures: contrast, saturation, coarse pixels, compression."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.ops.image import coarse
from holdfast.shifts.codec import coded
from holdfast.shifts.published import Published, Row, on_images

CONTRAST = Published(
    none=(1.0,),
    tables={
        32: ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
        64: ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
    },
)
COLOURS = 3
SATURATION = Published(
    none=(1.0, 0.0),  # factor, added
    tables={
        32: ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        64: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
        224: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    },
    whole=True,
)
PIXELS = Published(
    none=(1.0,),
    tables={
        32: ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),
        64: ((0.9,), (0.8,), (0.7,), (0.6,), (0.5,)),
        224: ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
    },
)
QUALITY = Published(
    none=(100.0,),
    tables={
        32: ((80,), (65,), (58,), (50,), (40,)),
        64: ((65,), (58,), (50,), (40,), (25,)),
        224: ((25,), (18,), (15,), (10,), (7,)),
    },
)


@register("shift", cites="imagenet-c")
def contrast(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Pulls every value towards the mean of its image and channel.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return (x - mean) * row[0] + mean

    return on_images(batch, severity, dice, "contrast", CONTRAST, change)


@register("shift", cites="imagenet-c")
def pixelate(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Shrinks each image by box means and enlarges it again by repeating pixels.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return coarse(x, row[0])

    return on_images(batch, severity, dice, "pixelate", PIXELS, change)


@register("shift", cites="imagenet-c")
def jpeg(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Codes and decodes each image as JPEG; the quality falls with severity.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; three channels are coded as colour, any other
            number plane by plane as grey.
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return coded(x, row[0])

    return on_images(batch, severity, dice, "jpeg", QUALITY, change)


def saturated(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Saturation (in hue, saturation, value) times `row[0]` plus `row[1]`; grey counts as red."""
    value = x.amax(1, keepdim=True)
    share = (value - x.amin(1, keepdim=True)) / value.clamp(min=1e-12)
    wanted = (share * row[0] + row[1]).clamp(0, 1)
    red = torch.tensor([0.0, 1.0, 1.0]).to(x)[:, None, None]  # how far each channel is below
    below = (value - x).div_((value * share).clamp_(min=1e-12)).add_(red * (share <= 0))
    return below.mul_(wanted.mul_(-value)).add_(value)


@register("shift", cites="imagenet-c")
def saturate(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Makes colours paler (levels 1 and 2) or stronger (levels 3 to 5).

    The levels are no scale: with their signs they go down, then up, through the image itself.

    Args:
        batch: images `(B, 3, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images of three channels.
    """
    x = batch.x
    if isinstance(x, Tensor) and x.dim() == 1 + COLOURS and x.shape[1] != COLOURS:
        raise Unsupported(
            f"saturate changes colours, and these images have {x.shape[1]} channel(s)",
            fix="Leave it out for images that are not red, green and blue.",
        )
    return on_images(batch, severity, dice, "saturate", SATURATION, saturated)
