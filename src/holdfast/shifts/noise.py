"""Noise of the sensor: thermal, of counted light, of broken pixels, in proportion."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.light import photographed
from holdfast.shifts.published import Published, Row, on_images

GAUSSIAN = Published(
    none=(0.0,),
    tables={
        32: ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)),
        64: ((0.04,), (0.08,), (0.12,), (0.15,), (0.18,)),
        224: ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
    },
)
# Published are the counts at full brightness; their inverse is the variance and starts at 0.
SHOT = Published(
    none=(0.0,),
    tables={
        32: ((1 / 500,), (1 / 250,), (1 / 100,), (1 / 75,), (1 / 50,)),
        64: ((1 / 250,), (1 / 100,), (1 / 50,), (1 / 30,), (1 / 15,)),
        224: ((1 / 60,), (1 / 25,), (1 / 12,), (1 / 5,), (1 / 3,)),
    },
)
IMPULSE = Published(
    none=(0.0,),
    tables={
        32: ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),
        64: ((0.01,), (0.02,), (0.05,), (0.08,), (0.14,)),
        224: ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
    },
)
SPECKLE = Published(
    none=(0.0,),
    tables={
        32: ((0.06,), (0.1,), (0.12,), (0.16,), (0.2,)),
        64: ((0.15,), (0.2,), (0.25,), (0.3,), (0.35,)),
        224: ((0.15,), (0.2,), (0.35,), (0.45,), (0.6,)),
    },
)


def counted(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Poisson counts of the light; `row` holds the inverse of the count at full brightness."""
    return photographed(x, row[0], dice.uniform(x.shape[1:], device=x.device, dtype=torch.float64))


def peppered(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A share `row[0]` of all values black or white."""
    u = dice.uniform(x.shape[1:], device=x.device, dtype=torch.float64)
    hit = (u < row[0]).flatten().nonzero()[:, 0]
    digits = u.flatten().index_select(0, hit).mul_(2.0**53)
    white = digits.long().bitwise_and_(1)  # the last digit tells nothing of the first
    return x.flatten().index_copy(0, hit, white.to(x.dtype)).view(x.shape)


def speckled(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Noise in proportion to the value."""
    noise = dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
    return noise.mul_(row[0]).mul_(x).add_(x)


@register("shift", cites="imagenet-c")
def gaussian_noise(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Adds independent Gaussian noise to every value and clips.

    The standard deviation grows with severity while the draws of a row stay the same, so every
    value moves at least as far at a higher severity.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return dice.normal(x.shape[1:], device=x.device, dtype=x.dtype).mul_(row[0]).add_(x)

    return on_images(batch, severity, dice, "gaussian-noise", GAUSSIAN, change)


@register("shift", cites="imagenet-c")
def shot_noise(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Replaces every value by a Poisson count of the light that makes it up.

    A value v becomes Poisson(c v) / c: the mean stays v and the variance is v / c, so bright
    regions are noisier and black stays black.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    return on_images(batch, severity, dice, "shot-noise", SHOT, counted)


@register("shift", cites="imagenet-c")
def impulse_noise(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Turns a share of all values black or white, with equal chances.

    The values hit at one severity are hit at every higher one too.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    return on_images(batch, severity, dice, "impulse-noise", IMPULSE, peppered)


@register("shift", cites="imagenet-c")
def speckle_noise(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Adds Gaussian noise in proportion to each value and clips: black stays black.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """
    return on_images(batch, severity, dice, "speckle-noise", SPECKLE, speckled)
