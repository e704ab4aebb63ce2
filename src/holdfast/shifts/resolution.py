"""Fewer pixels: images of a low resolution, enlarged again to the size that the model expects."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.resize import at_resolution
from holdfast.shifts.published import Published, Row, on_images

# Shares of the shorter side. The benchmark has 128, 64, 32 and 16 of 224 pixels; level 1 is ours.
SIDES = Published(
    none=(1.0,), tables={224: ((3 / 4,), (128 / 224,), (64 / 224,), (32 / 224,), (16 / 224,))}
)


@register("shift", cites="lr0-fm", says="A low resolution, enlarged again.")
def low_resolution(
    batch: Batch, severity: float, dice: Dice | None = None, *, antialias: bool = True
) -> Batch:
    """Shrinks each image to a share of its sides and enlarges it again.

    Detail is lost and no new one comes in. Levels 2 to 5 keep as much of the sides as 128, 64,
    32 and 16 pixels are of 224.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is level k.
        dice: not used; nothing is drawn.
        antialias: whether shrinking averages over what a new pixel covers.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return at_resolution(x, row[0], antialias=antialias)

    return on_images(batch, severity, dice, "low-resolution", SIDES, change)
