"""Blurs: out of focus, through a moving shutter, while zooming, through frosted glass."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.filters import correlate, disk, smooth, zoomed
from holdfast.ops.image import smear
from holdfast.ops.warp import picked, traded, wandering
from holdfast.shifts.published import Published, Row, on_images

GAUSSIAN = Published(
    none=(0.0,),
    tables={
        32: ((0.4,), (0.6,), (0.7,), (0.8,), (1,)),
        64: ((0.5,), (0.75,), (1,), (1.25,), (1.5,)),
        224: ((1,), (2,), (3,), (4,), (6,)),
    },
    lengths=(True,),
    shrinks=False,
)
DEFOCUS = Published(
    none=(0.0, 0.0),  # radius, sigma against stairs
    tables={
        32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        64: ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
        224: ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    },
    lengths=(True, True),
    shrinks=False,
)
GLASS = Published(
    none=(0.0, None, None),  # sigma, reach, rounds
    tables={
        32: ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        64: ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
        224: ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    },
    lengths=(True, True, False),
    shrinks=False,
    whole=True,
)
MOTION = Published(
    none=(None, 0.0),  # radius, sigma
    tables={
        32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    },
    lengths=(True, True),
)
ZOOM = Published(
    none=(None, 0.0),  # number of zooms, step
    tables={
        64: ((7, 0.01), (12, 0.01), (16, 0.01), (21, 0.01), (26, 0.01)),
        224: ((12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)),
    },
    whole=True,
)


def focused(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A disk of radius `row[0]` against every pixel."""
    return correlate(x, disk(*row), "mirror")


def shattered(x: Tensor, row: Row, dice: Dice, still: float = 0.0, swap: bool = False) -> Tensor:
    """Blurred, pixels strewn among their neighbours, blurred; a share `still` stays in place."""
    sigma, reach, rounds = row[0], max(1, round(row[1])), round(row[2])
    b, c, h, w = x.shape
    slack = 1e-9 if x.dtype == torch.float64 else 3e-4  # of a level: whole ones stay whole
    coarse = (smooth(x, sigma) * 255).add_(slack).floor_().div_(255)
    high, wide = max(0, h - 2 * reach), max(0, w - 2 * reach)
    row_, column = (torch.arange(n, device=x.device) + reach + 1 for n in (high, wide))
    inner = (row_[:, None] * w + column - reach * (w + 1)).int()  # as steps start from -reach
    place = torch.arange(h * w, device=x.device, dtype=torch.int32).expand(b, -1)
    for _ in range(rounds if high and wide else 0):
        step = dice.integers(2 * reach, (2, high, wide), device=x.device).int()
        # Without a share that stays a single draw counts the call, and later draws stay the same.
        chance = dice.uniform((high, wide) if still else (1, 1), device=x.device)
        step = step.masked_fill_((chance < still)[:, None], reach) if still else step
        there = (step[:, 0] * w).add_(step[:, 1]).add_(inner)
        place = picked(place, (traded if swap or c == 1 else wandering)(there, reach))
    return smooth(picked(coarse.flatten(2), place).view(x.shape), sigma)


def smeared(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A line of radius `row[0]` and width `row[1]` at an angle within 45 degrees."""
    radius, sigma = row
    angle = (dice.uniform(device=x.device, dtype=x.dtype) - 0.5) * pi / 2
    return smear(x, angle, sigma, 2 * max(1, round(radius)) + 1)


def rushing(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """The mean of the image and `row[0]` zooms of it in steps of `row[1]`."""
    count, step = round(row[0]), (1 + row[1]) - 1  # as arange rounds it
    # All planes are channels of one picture, the last axis in memory: a place is read for all.
    planes = x.flatten(0, 1)[None].contiguous(memory_format=torch.channels_last)
    total = planes.clone()
    for i in range(count):
        total += zoomed(planes, 1 + i * step)
    return total.div_(count + 1).contiguous().view(x.shape)


@register("shift", cites="imagenet-c")
def gaussian_blur(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Blurs each image with a Gaussian; beyond the border the last pixel repeats.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return smooth(x, row[0])

    return on_images(batch, severity, dice, "gaussian-blur", GAUSSIAN, change)


@register("shift", cites="imagenet-c")
def defocus_blur(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Spreads each pixel over a disk, as a lens out of focus does; the border mirrors.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """
    return on_images(batch, severity, dice, "defocus-blur", DEFOCUS, focused)


@register("shift", cites="imagenet-c")
def glass_blur(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Strews the pixels of each image among their neighbours, between two Gaussian blurs.

    Pixels take turns from the last to the first; each takes the colour of a random neighbour, as
    that is by then. Grey images trade the two pixels instead: the published program does so,
    because it exchanges views of a colour but copies of a number.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """
    return on_images(batch, severity, dice, "glass-blur", GLASS, shattered)


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
    return on_images(batch, severity, dice, "motion-blur", MOTION, smeared)


@register("shift", cites="imagenet-c")
def zoom_blur(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Averages each image with enlargements of its middle, as a lens that zooms does.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """
    return on_images(batch, severity, dice, "zoom-blur", ZOOM, rushing)
