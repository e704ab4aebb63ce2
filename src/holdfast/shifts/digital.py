"""What cameras and files do to pictures: contrast, coarse pixels, compression."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.image import coarse
from holdfast.ops.jpeg import jpeg as recode
from holdfast.shifts.published import Published, Row, on_images

CONTRAST = Published(
    none=(1.0,),
    tables={
        32: ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
        64: ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
    },
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
        return recode(x, row[0])

    return on_images(batch, severity, dice, "jpeg", QUALITY, change)
