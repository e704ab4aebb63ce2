"""Weather: fog, and more light than usual."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.image import cloud_draws, clouds
from holdfast.shifts.published import Published, Row, on_images

FOG = Published(
    none=(0.0, None),  # amount, decay
    tables={
        32: ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        64: ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        224: ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    },
)
BRIGHT = Published(
    none=(0.0,),
    tables={
        32: ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),
        64: ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
    },
)


def misty(x: Tensor, row: Row, dice: Dice, size: int = 0) -> Tensor:
    """Clouds over images; they span `size` pixels, at least those of the longer side."""
    amount, decay = row
    height, width = x.shape[2:]
    shape = cloud_draws(max(size, height), max(size, width))
    draws = dice.uniform(shape, device=x.device, dtype=x.dtype)
    sky = clouds(draws, decay, height, width)[:, None]
    top = x.amax((1, 2, 3), keepdim=True)
    return torch.add(x, sky, alpha=amount).mul_(top / (top + amount))


def brighter(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """The value (largest channel) raised by `row[0]`, hue and saturation kept."""
    value = x.amax(1, keepdim=True)
    raised = (value + row[0]).clamp(max=1)
    black = raised * (value <= 0)
    return torch.mul(x, raised.div_(value.clamp(min=1e-12))).add_(black)


@register("shift", cites="imagenet-c")
def fog(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Blends fractal clouds into each image and rescales to its brightest value.

    With the brightest value m and clouds P in [0, 1], an image x becomes
    (x + c P) m / (m + c): contrast fades while the range is kept.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    return on_images(batch, severity, dice, "fog", FOG, misty)


@register("shift", cites="imagenet-c")
def brightness(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Raises the value of every pixel (in hue, saturation, value) and clips it at one.

    The value is the largest channel, and the channels keep their proportions; a black pixel
    turns grey.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    return on_images(batch, severity, dice, "brightness", BRIGHT, brighter)
