"""Drops of water or mud on the lens."""

from __future__ import annotations

from math import inf, nextafter, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.edges import canny, distance, equalized
from holdfast.ops.filters import correlate, padded, smooth
from holdfast.shifts.published import Published, Row, on_images

# Mean and spread of the noise, its blur, threshold, strength (water) or blur (mud), mud or not.
DROPS = (
    (0.65, 0.3, 4, 0.69, 0.6, 0), (0.65, 0.3, 3, 0.68, 0.6, 0), (0.65, 0.3, 2, 0.68, 0.5, 0),
    (0.65, 0.3, 1, 0.65, 1.5, 1), (0.67, 0.4, 1, 0.65, 1.5, 1),
)  # fmt: skip
SPATTER = Published(
    none=(None,) * 6,
    tables={
        32: ((0.62, 0.1, 0.7, 0.7, 0.5, 0), (0.65, 0.1, 0.8, 0.7, 0.5, 0),
             (0.65, 0.3, 1, 0.69, 0.5, 0), (0.65, 0.1, 0.7, 0.69, 0.6, 1),
             (0.65, 0.1, 0.5, 0.68, 0.6, 1)),
        64: ((0.62, 0.1, 0.7, 0.7, 0.6, 0), (0.65, 0.1, 0.8, 0.7, 0.6, 0),
             (0.65, 0.3, 1, 0.69, 0.6, 0), (0.65, 0.1, 0.7, 0.68, 0.6, 1),
             (0.65, 0.1, 0.5, 0.67, 0.6, 1)),
        224: DROPS,
    },
    lengths=(False, False, True, False, False, False),
    shrinks=False,
    whole=True,
)  # fmt: skip
WATER = (175 / 255, 238 / 255, 238 / 255)
MUD = (63 / 255, 42 / 255, 20 / 255)
DEEP = 20  # water is at most so deep, in pixels from its edge
PIXELS = 2**17  # at a time: what fits a cache
RELIEF = ((-2.0, -1.0, 0.0), (-1.0, 1.0, 1.0), (0.0, 1.0, 2.0))


def drops(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """`(B, 1, H, W)` float64: smooth noise; what is above the threshold `row[3]` is wet."""
    # What Dice.normal draws, by the error function, which is inverted faster: 2 u - 1 is exact.
    u = dice.uniform((1, *x.shape[2:]), device=x.device, dtype=torch.float64)
    noise = u.mul_(2).sub_(1 - 2.0**-53).erfinv_()
    return smooth(noise.mul_(row[1] * sqrt(2)).add_(row[0]), row[2])


def mud(layer: Tensor, row: Row) -> Tensor:
    """How much of each pixel is covered: wet places, blurred by `row[4]`, their rims cut off."""
    cover = smooth((layer > row[3]).double(), row[4])
    return torch.where(cover < 0.8, 0.0, cover)


def water(layer: Tensor, row: Row) -> Tensor:
    """Light on the drops: their height times their relief, at most the strength `row[4]`."""
    few = max(1, PIXELS // (layer.shape[2] * layer.shape[3]))
    return torch.cat([_lit(part, row) for part in layer.split(few)])


def _lit(layer: Tensor, row: Row) -> Tensor:
    """The same for a few images: what is written in between stays in the processor's cache."""
    wet = F.threshold(layer, nextafter(row[3], -inf), 0.0).clamp_(0, 1).mul_(255).floor_()
    wet = wet.float()  # whole numbers from here on, but for a distance: exact
    depth = distance(canny(wet, 0.0, 50.0, 150.0, blocks=True), DEEP).double()
    depth = equalized(_box(depth).floor_()).float()
    relief = correlate(depth, torch.tensor(RELIEF), "mirror").clamp_(0, 255)
    light = wet.mul_(_box(relief).round_()).double()
    return light.mul_(row[4] / light.amax((1, 2, 3), keepdim=True).clamp(min=1e-12))


def _box(x: Tensor) -> Tensor:
    """Means of 3 x 3 pixels."""
    big = padded(x, 1, 1, "mirror")
    rows = big[:, :, :-2] + big[:, :, 1:-1] + big[:, :, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]).div_(9)


def coloured(x: Tensor, cover: Tensor, colour: tuple[float, ...]) -> Tensor:
    """A cover of one colour, in as many channels as the image has."""
    tone = colour if x.shape[1] == len(colour) else (sum(colour) / 3,) * x.shape[1]
    return cover.to(x.dtype) * torch.tensor(tone).to(x)[:, None, None]


@register("shift", cites="imagenet-c")
def spatter(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Spatters each image with drops of water (levels 1 to 3) or with mud (4 and 5).

    Drops are where smooth noise is above a threshold. Water adds light that depends on the
    distance from the rim of its drop; mud covers.

    Unlike the paper: distances are exact, rims are compared between pixels (the released program
    rounds both), and on grey images drops are grey.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        layer = drops(x, row, dice)
        if not row[5]:
            return x + coloured(x, water(layer, row), WATER)
        cover = mud(layer, row)
        return x * (1 - cover.to(x.dtype)) + coloured(x, cover, MUD)

    return on_images(batch, severity, dice, "spatter", SPATTER, change)
