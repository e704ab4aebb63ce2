"""Blur of a camera that moves while the shutter is open."""

from __future__ import annotations

from math import pi

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.image import smear
from holdfast.shifts.published import Published, Row, on_images

MOTION = Published(
    none=(None, 0.0),  # radius, sigma
    tables={
        32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    },
    lengths=(True, True),
)


@register("shift", cites="imagenet-c")
def motion_blur(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Smears each image along a line whose angle is drawn within 45 degrees of the horizontal.

    The weights fall off on one side like half a Gaussian, as in the published corruption; both
    its width and its reach are shares of the shorter side.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        radius, sigma = row
        angle = (dice.uniform(device=x.device, dtype=x.dtype) - 0.5) * pi / 2
        return smear(x, angle, sigma, 2 * max(1, round(radius)) + 1)

    return on_images(batch, severity, dice, "motion-blur", MOTION, change)
