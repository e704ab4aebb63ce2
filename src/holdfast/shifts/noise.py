"""Noise of the sensor: thermal (Gaussian), of counted light (shot), of broken pixels (impulse)."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.image import poisson
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
        return x + row[0] * dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)

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

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        z = dice.normal(x.shape[1:], device=x.device, dtype=torch.float64)
        return (poisson(x.double() / row[0], z, 1 / row[0]) * row[0]).to(x.dtype)

    return on_images(batch, severity, dice, "shot-noise", SHOT, change)


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

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        hit = dice.uniform(x.shape[1:], device=x.device) < row[0]
        white = dice.uniform(x.shape[1:], device=x.device) < 0.5
        return torch.where(hit, white.to(x.dtype), x)

    return on_images(batch, severity, dice, "impulse-noise", IMPULSE, change)
