"""What a sensor does with little light, high sensitivity and few bits."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.light import photographed
from holdfast.shifts.published import Published, Row, on_images

ISO = Published(  # one over the counts at full brightness, standard deviation
    none=(0.0, 0.0),
    tables={224: tuple((1 / 25, 0.7 * s) for s in (0.08, 0.12, 0.18, 0.26, 0.38))},
)
DARK = Published(  # exponent, gain, share of the stretch to [0, 1], and the noise as above
    none=(1.0, 1.0, 0.0, 0.0, 0.0),
    tables={224: tuple((2.0, g, 1.0, 1 / 120, 0.018) for g in (0.6, 0.5, 0.4, 0.3, 0.2))},
)
BITS = Published(none=(8.0,), tables={224: tuple((6.0 - k,) for k in range(1, 6))})


def noisy(x: Tensor, inverse: float, deviation: float, dice: Dice) -> Tensor:
    """Counts of light, then thermal noise.

    Args:
        x: `(B, C, H, W)` in [0, 1].
        inverse: one over the counts at full brightness.
        deviation: of the thermal noise.
        dice: one row per image.
    """
    u = dice.uniform(x.shape[1:], device=x.device, dtype=torch.float64)
    seen = photographed(x, inverse, u)
    return seen + deviation * dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)


@register("shift", cites="3dcc", says="High sensitivity: counted light and thermal noise.")
def iso_noise(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Adds the noise of a sensor set to high sensitivity: Poisson counts, then Gaussian noise.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return noisy(x, row[0], row[1], dice)

    return on_images(batch, severity, dice, "iso-noise", ISO, change)


@register("shift", cites="3dcc", says="Little light, with the noise that comes with it.")
def low_light(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Squares each image, scaled to its own range, dims it, and adds a sensor's noise.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        power, gain, stretch, inverse, deviation = row
        low = stretch * x.amin((1, 2, 3), keepdim=True)
        high = 1 - stretch + stretch * x.amax((1, 2, 3), keepdim=True)
        full = ((x - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
        return noisy(gain * full**power, inverse, deviation, dice)

    return on_images(batch, severity, dice, "low-light", DARK, change)


@register("shift", cites="3dcc", says="Few bits per colour.")
def color_quant(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Keeps the highest bits of every value and clears the others: five down to one.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; at k / 5 there are 6 - k bits left, between them the number of
            levels lies between.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        step = 256 / 2 ** row[0]
        return torch.floor(torch.round(x * 255) / step) * step / 255

    return on_images(batch, severity, dice, "color-quant", BITS, change)
