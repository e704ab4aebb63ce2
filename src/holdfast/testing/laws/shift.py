"""Laws of shifts: nothing at severity 0, more at higher severity, labels and ranges untouched.

Shifts that say `reads = "text"` owe the laws of texts instead of those of images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise, product

import torch
from torch import Tensor

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import HoldfastError, Unsupported
from holdfast.core.kinds import Shift
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.shift_of_text import (
    law_text_edits_nest_in_severity,
    law_text_edits_say_where_they_apply,
    law_text_only_the_texts_change,
    law_text_refuses_images_and_severity_outside,
    law_text_rows_do_not_depend_on_the_batch,
    of_text,
)

__all__ = [
    "law_text_edits_nest_in_severity",
    "law_text_edits_say_where_they_apply",
    "law_text_only_the_texts_change",
    "law_text_refuses_images_and_severity_outside",
    "law_text_rows_do_not_depend_on_the_batch",
]

# Side, channels, rows: enough rows that the clouds drawn for each do not hide the growth.
SIZES = ((8, 1, 32), (28, 1, 16), (32, 3, 8), (224, 1, 16))
ROUNDING = 1e-6
COLOURS = 3


def _of_images(law: Callable[[Shift], None]) -> Callable[[Shift], None]:
    """The law, for shifts of images only."""

    @functools.wraps(law)
    def asked(method: Shift) -> None:
        if not of_text(method):
            law(method)

    return asked


def _pictures(
    method: Shift, side: int, channels: int, rows: int, dtype: torch.dtype = torch.float32
) -> Batch:
    """Images with the spectrum of natural ones: amplitudes fall with frequency.

    They have three channels instead where the shift refuses others.
    """
    channels = channels if _takes(method, channels) else COLOURS
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


def _takes(method: Shift, channels: int) -> bool:
    """Whether a shift changes images of so many channels."""
    grey = torch.full((1, channels, 8, 8), 0.5)
    try:
        method(Batch(grey, torch.zeros(1).long(), torch.arange(1)), 1.0, Dice.of(1))
    except Unsupported:
        return False
    return True


def _dice(batch: Batch) -> Dice:
    return Dice(7, batch.index)


def _images(batch: Batch) -> Tensor:
    if not isinstance(batch.x, Tensor):
        raise LawBroken("a shift of images handed back something else")
    return batch.x


def _same(a: Tensor, b: Tensor, says: str) -> None:
    if a.dtype != b.dtype or a.shape != b.shape or not torch.equal(a, b):
        raise LawBroken(says)


@_of_images
def law_severity_zero_is_the_identity(method: Shift) -> None:
    """At severity 0 the images are bit-identical."""
    for side, channels, rows in SIZES[:3]:
        batch = _pictures(method, side, channels, rows)
        out = _images(method(batch, 0.0, _dice(batch)))
        _same(out, _images(batch), f"severity 0 changes images of {side} pixels")


@_of_images
def law_change_grows_with_severity(method: Shift) -> None:
    """The mean change grows with severity at 8, 28, 32 and 224 pixels.

    No level changes less than the one before, and over two levels the change surely grows: one
    level alone may be equal to the one before, where few pixels leave nothing between them.
    """
    for side, channels, rows in SIZES:
        batch = _pictures(method, side, channels, rows)
        x = _images(batch)
        size = [
            float((_images(method(batch, k / 5, _dice(batch))) - x).abs().mean()) for k in range(6)
        ]
        falls = any(b < (1 - ROUNDING) * a for a, b in pairwise(size))
        if falls or any(b <= a for a, b in zip(size, size[2:], strict=False)):
            raise LawBroken(f"at {side} pixels the mean change does not grow: {size}")


@_of_images
def law_no_level_hands_images_back(method: Shift) -> None:
    """Images of 8 pixels change at severity 1, those of 28 and 32 at every level."""
    for side, channels, rows in SIZES[:3]:
        batch = _pictures(method, side, channels, rows)
        for level in range(1 if side > SIZES[0][0] else 5, 6):
            if torch.equal(_images(method(batch, level / 5, _dice(batch))), _images(batch)):
                raise LawBroken(f"level {level} leaves images of {side} pixels as they are")


@_of_images
def law_stays_in_range_and_keeps_the_type(method: Shift) -> None:
    """Images stay in [0, 1], finite, with their shape and type, in every floating type."""
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        batch = _pictures(method, 12, 3, 3, dtype)
        x, out = _images(batch), _images(method(batch, 1.0, _dice(batch)))
        if out.dtype != dtype or out.shape != x.shape or out.device != x.device:
            raise LawBroken(f"{dtype} {tuple(x.shape)} became {out.dtype} {tuple(out.shape)}")
        if not bool(((out >= 0) & (out <= 1)).all()):
            raise LawBroken(f"leaves [0, 1] in {dtype}")


@_of_images
def law_extreme_images_are_changed_safely(method: Shift) -> None:
    """Black and white images, odd sides, one pixel and two channels give finite images."""
    for shape, value in product(((2, 1, 1, 1), (2, 2, 7, 13), (2, 3, 16, 5)), (0.0, 1.0)):
        own = (2, shape[1] if _takes(method, shape[1]) else COLOURS, *shape[2:])
        batch = Batch(torch.full(own, value), torch.zeros(2).long(), torch.arange(2))
        out = _images(method(batch, 0.7, _dice(batch)))
        if out.shape != own or not bool(((out >= 0) & (out <= 1)).all()):
            raise LawBroken(f"images of {value} and shape {own} become unusable")


@_of_images
def law_only_the_inputs_change(method: Shift) -> None:
    """Labels, positions and groups stay, and the batch that was given is not written to."""
    batch = _pictures(method, 16, 3, 4)
    before = _images(batch).clone()
    out = method(batch, 0.8, _dice(batch))
    _same(_images(batch), before, "writes into the batch it was given")
    _same(out.y, batch.y, "changes labels")
    _same(out.index, batch.index, "changes positions")
    if out.group is None or batch.group is None or not torch.equal(out.group, batch.group):
        raise LawBroken("changes groups")


@_of_images
def law_rows_do_not_depend_on_the_batch(method: Shift) -> None:
    """Any chunk and any order of the rows gives the same images."""
    batch = _pictures(method, 28, 1, 6)
    whole = _images(method(batch, 0.6, _dice(batch)))
    order = torch.tensor([4, 1, 5])
    part = _images(method(batch.take(order), 0.6, _dice(batch).part(order)))
    if not torch.allclose(whole[order], part, atol=1e-6):
        raise LawBroken("a row depends on which other rows are in the batch")


@_of_images
def law_same_dice_same_images(method: Shift) -> None:
    """The same dice give the same images, and the global random state is not touched."""
    batch = _pictures(method, 16, 3, 4)
    state = torch.random.get_rng_state()
    once, again = (_images(method(batch, 0.5, _dice(batch))) for _ in range(2))
    _same(once, again, "the same dice give other images")
    _same(torch.random.get_rng_state(), state, "touches the global random state")


@_of_images
def law_empty_batch(method: Shift) -> None:
    """A batch without rows comes back without rows."""
    batch = _pictures(method, 8, 1, 2).take(slice(0, 0))
    if _images(method(batch, 0.5, _dice(batch))).shape != _images(batch).shape:
        raise LawBroken("an empty batch does not come back empty")


@_of_images
def law_refuses_severity_outside(method: Shift) -> None:
    """A severity below 0 or above 1 is refused."""
    batch = _pictures(method, 8, 1, 2)
    for severity in (-0.1, 1.1, float("nan")):
        _refused(lambda s=severity: method(batch, s, _dice(batch)), f"severity {severity}")  # type: ignore[misc]


@_of_images
def law_refuses_values_outside(method: Shift) -> None:
    """Images with values outside [0, 1], or none at all, are refused, not cut off in silence."""
    for value in (-0.5, 1.5, float("nan"), float("inf")):
        batch = _pictures(method, 8, 1, 2)
        x = _images(batch).clone()
        x[1, 0, 3, 3] = value
        _refused(
            lambda x=x, batch=batch: method(batch._replace(x=x), 1.0, _dice(batch)),  # type: ignore[misc]
            f"images with the value {value}",
        )


@_of_images
def law_refuses_what_it_cannot_change(method: Shift) -> None:
    """Texts are refused, not handed back: unchanged inputs would count as robustness."""
    batch = Batch(["a", "b"], torch.zeros(2).long(), torch.arange(2))
    try:
        out = method(batch, 1.0, _dice(batch))
    except HoldfastError:
        return
    if out.x == batch.x:
        raise LawBroken("hands back inputs that it cannot change")


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except HoldfastError:
        return
    raise LawBroken(f"accepts {what}")
