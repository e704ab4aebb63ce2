"""How each kind of corruption of MedMNIST-C changes images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.ops.filters import gaussian_taps, padded, smooth
from holdfast.ops.image import coarse
from holdfast.shifts.blur import focused, rushing, smeared
from holdfast.shifts.codec import coded
from holdfast.shifts.digital import saturated
from holdfast.shifts.medical import bent, bubbled, cornered, lettered, stained
from holdfast.shifts.noise import counted, peppered, speckled
from holdfast.shifts.published import Row

Operation = Callable[[Tensor, Row, Dice], Tensor]
GREY = (0.299, 0.587, 0.114)


def _thermal(x: Tensor, row: Row, dice: Dice) -> Tensor:
    return x + row[0] * dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)


def _pixelated(x: Tensor, row: Row, dice: Dice) -> Tensor:
    return coarse(x, row[0])


def _recoded(x: Tensor, row: Row, dice: Dice) -> Tensor:
    return coded(x, row[0])


def _defocused(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A disk of radius `row[0]`; below one pixel a Gaussian of the same spread."""
    return focused(x, row, dice) if row[0] >= 1 else smooth(x, row[0] / 2)


def blurred(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A Gaussian whose kernel has `2 row[0] + 1` taps, and the width that goes with them."""
    reach = ceil(row[0] - 1e-9)
    taps = gaussian_taps(0.3 * (row[0] - 1) + 0.8, reach).to(x)
    big = padded(x, reach, reach, "mirror")
    down = big.unfold(2, len(taps), 1) @ taps
    return down.unfold(3, len(taps), 1) @ taps


def brightened(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Every value times `row[0]`."""
    return x * row[0]


def contrasted(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Values pulled to, or pushed from, the image's mean grey, rounded to whole 255ths."""
    weights = torch.tensor(GREY if x.shape[1] == len(GREY) else (1 / x.shape[1],) * x.shape[1])
    grey = (x * weights.to(x)[:, None, None]).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    middle = (grey * 255).round() / 255
    return middle + row[0] * (x - middle)


def stronger(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """The saturation of each pixel raised by `row[0]`; greys turn red, whose hue is 0.

    Raises:
        Unsupported: for images of other than three channels.
    """
    if x.shape[1] != len(GREY):
        raise Unsupported("saturation needs images of three colours", fix="Repeat the channel.")
    return saturated(x, (1.0, row[0]), dice)


@dataclass(frozen=True)
class Kind:
    """How one kind of corruption is done.

    Args:
        operation: (images, parameters, dice) -> images.
        none: parameters at which nothing changes, as in `Published`.
        lengths: for each parameter, whether it is a length in pixels.
        whole: whether levels are taken as they are, never one between two.
    """

    operation: Operation
    none: tuple[float | None, ...]
    lengths: tuple[bool, ...] = ()
    whole: bool = False


KINDS: dict[str, Kind] = {
    "pixelate": Kind(_pixelated, (1.0,)),
    "jpeg": Kind(_recoded, (100.0,)),
    "gaussian-noise": Kind(_thermal, (0.0,)),
    "speckle-noise": Kind(speckled, (0.0,)),
    "impulse-noise": Kind(peppered, (0.0,)),
    "shot-noise": Kind(counted, (0.0,)),
    "defocus-blur": Kind(_defocused, (0.0, 0.0), (True, True)),
    "motion-blur": Kind(smeared, (None, 0.0), (True, True)),
    "zoom-blur": Kind(rushing, (None, 0.0), whole=True),
    "gaussian-blur": Kind(blurred, (0.0,), (True,)),
    "brightness-up": Kind(brightened, (1.0,)),
    "brightness-down": Kind(brightened, (1.0,)),
    "contrast-up": Kind(contrasted, (1.0,)),
    "contrast-down": Kind(contrasted, (1.0,)),
    "gamma-up": Kind(bent, (1.0,)),
    "gamma-down": Kind(bent, (1.0,)),
    "saturate": Kind(stronger, (0.0,)),
    "stain-deposit": Kind(stained, (0.0, 3.0)),
    "bubble": Kind(bubbled, (None, 0.0), whole=True),
    "black-corner": Kind(cornered, (sqrt(2),)),
    "characters": Kind(lettered, (0.0, None, None), whole=True),
}
