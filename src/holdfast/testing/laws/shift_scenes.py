"""Images for the laws of shifts, and what those laws share."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import HoldfastError, Unsupported
from holdfast.core.kinds import Shift
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.shift_of_text import of_text

# Side, channels, rows: enough rows that the clouds drawn for each do not hide the growth.
SIZES = ((8, 1, 32), (28, 1, 16), (32, 3, 8), (224, 1, 16))
ROUNDING = 1e-6
COLOURS = 3


def of_images(law: Callable[[Shift], None]) -> Callable[[Shift], None]:
    """The law, for shifts of images only."""

    @functools.wraps(law)
    def asked(method: Shift) -> None:
        if not of_text(method):
            law(method)

    return asked


def pictures(
    method: Shift, side: int, channels: int, rows: int, dtype: torch.dtype = torch.float32
) -> Batch:
    """Images with the spectrum of natural ones: amplitudes fall with frequency.

    They have three channels instead where the shift refuses others.
    """
    channels = channels if takes(method, channels) else COLOURS
    generator = torch.Generator().manual_seed(side)
    noise = torch.randn(rows, channels, side, side, generator=generator, dtype=torch.float64)
    across = torch.fft.rfftfreq(side, dtype=torch.float64)
    down = torch.fft.fftfreq(side, dtype=torch.float64)[:, None]
    fall = 1 / ((across**2 + down**2).sqrt() + 1 / side)
    x = torch.fft.irfft2(torch.fft.rfft2(noise) * fall, s=(side, side))
    x = x - x.amin((1, 2, 3), keepdim=True)
    x = (x / x.amax((1, 2, 3), keepdim=True)).to(dtype)
    y = torch.arange(rows) % 10
    return Batch(x, y, 100 + torch.arange(rows), y % 2)


def takes(method: Shift, channels: int) -> bool:
    """Whether a shift changes images of so many channels."""
    grey = torch.full((1, channels, 8, 8), 0.5)
    try:
        method(Batch(grey, torch.zeros(1).long(), torch.arange(1)), 1.0, Dice.of(1))
    except Unsupported:
        return False
    return True


def dice_of(batch: Batch) -> Dice:
    """The draws of a batch, keyed by its rows."""
    return Dice(7, batch.index)


def images(batch: Batch) -> Tensor:
    """The images of a batch.

    Raises:
        LawBroken: if it holds something else.
    """
    if not isinstance(batch.x, Tensor):
        raise LawBroken("a shift of images handed back something else")
    return batch.x


def same(a: Tensor, b: Tensor, says: str) -> None:
    """Break the law unless both are the same bits."""
    if a.dtype != b.dtype or a.shape != b.shape or not torch.equal(a, b):
        raise LawBroken(says)


def refused(call: Callable[[], object], what: str) -> None:
    """Break the law unless a call is refused with an error of ours."""
    try:
        call()
    except HoldfastError:
        return
    raise LawBroken(f"accepts {what}")
