"""Laws of shifts: nothing at severity 0, more at higher severity, labels and ranges untouched.

Shifts that say `reads = "text"` owe the laws of texts instead of those of images.
"""

from __future__ import annotations

from itertools import pairwise, product

import torch

from holdfast.core.data import Batch
from holdfast.core.errors import HoldfastError
from holdfast.core.kinds import Shift
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.shift_of_text import (
    law_text_edits_nest_in_severity,
    law_text_edits_say_where_they_apply,
    law_text_only_the_texts_change,
    law_text_refuses_images_and_severity_outside,
    law_text_rows_do_not_depend_on_the_batch,
)
from holdfast.testing.laws.shift_scenes import (
    COLOURS,
    ROUNDING,
    SIZES,
    dice_of,
    images,
    of_images,
    pictures,
    refused,
    same,
    takes,
)

__all__ = [
    "law_text_edits_nest_in_severity",
    "law_text_edits_say_where_they_apply",
    "law_text_only_the_texts_change",
    "law_text_refuses_images_and_severity_outside",
    "law_text_rows_do_not_depend_on_the_batch",
]


@of_images
def law_severity_zero_is_the_identity(method: Shift) -> None:
    """At severity 0 the images are bit-identical."""
    for side, channels, rows in SIZES[:3]:
        batch = pictures(method, side, channels, rows)
        out = images(method(batch, 0.0, dice_of(batch)))
        same(out, images(batch), f"severity 0 changes images of {side} pixels")


@of_images
def law_change_grows_with_severity(method: Shift) -> None:
    """The mean change grows with severity at 8, 28, 32 and 224 pixels.

    No level changes less than the one before, and over two levels the change surely grows: one
    level alone may be equal to the one before, where few pixels leave nothing between them.
    """
    for side, channels, rows in SIZES:
        batch = pictures(method, side, channels, rows)
        x = images(batch)
        size = [
            float((images(method(batch, k / 5, dice_of(batch))) - x).abs().mean()) for k in range(6)
        ]
        falls = any(b < (1 - ROUNDING) * a for a, b in pairwise(size))
        if falls or any(b <= a for a, b in zip(size, size[2:], strict=False)):
            raise LawBroken(f"at {side} pixels the mean change does not grow: {size}")


@of_images
def law_no_level_hands_images_back(method: Shift) -> None:
    """Images of 8 pixels change at severity 1, those of 28 and 32 at every level."""
    for side, channels, rows in SIZES[:3]:
        batch = pictures(method, side, channels, rows)
        for level in range(1 if side > SIZES[0][0] else 5, 6):
            if torch.equal(images(method(batch, level / 5, dice_of(batch))), images(batch)):
                raise LawBroken(f"level {level} leaves images of {side} pixels as they are")


@of_images
def law_stays_in_range_and_keeps_the_type(method: Shift) -> None:
    """Images stay in [0, 1], finite, with their shape and type, in every floating type."""
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        batch = pictures(method, 12, 3, 3, dtype)
        x, out = images(batch), images(method(batch, 1.0, dice_of(batch)))
        if out.dtype != dtype or out.shape != x.shape or out.device != x.device:
            raise LawBroken(f"{dtype} {tuple(x.shape)} became {out.dtype} {tuple(out.shape)}")
        if not bool(((out >= 0) & (out <= 1)).all()):
            raise LawBroken(f"leaves [0, 1] in {dtype}")


@of_images
def law_extreme_images_are_changed_safely(method: Shift) -> None:
    """Black and white images, odd sides, one pixel and two channels give finite images."""
    for shape, value in product(((2, 1, 1, 1), (2, 2, 7, 13), (2, 3, 16, 5)), (0.0, 1.0)):
        own = (2, shape[1] if takes(method, shape[1]) else COLOURS, *shape[2:])
        batch = Batch(torch.full(own, value), torch.zeros(2).long(), torch.arange(2))
        out = images(method(batch, 0.7, dice_of(batch)))
        if out.shape != own or not bool(((out >= 0) & (out <= 1)).all()):
            raise LawBroken(f"images of {value} and shape {own} become unusable")


@of_images
def law_only_the_inputs_change(method: Shift) -> None:
    """Labels, positions and groups stay, and the batch that was given is not written to."""
    batch = pictures(method, 16, 3, 4)
    before = images(batch).clone()
    out = method(batch, 0.8, dice_of(batch))
    same(images(batch), before, "writes into the batch it was given")
    same(out.y, batch.y, "changes labels")
    same(out.index, batch.index, "changes positions")
    if out.group is None or batch.group is None or not torch.equal(out.group, batch.group):
        raise LawBroken("changes groups")


@of_images
def law_rows_do_not_depend_on_the_batch(method: Shift) -> None:
    """Any chunk and any order of the rows gives the same images."""
    batch = pictures(method, 28, 1, 6)
    whole = images(method(batch, 0.6, dice_of(batch)))
    order = torch.tensor([4, 1, 5])
    part = images(method(batch.take(order), 0.6, dice_of(batch).part(order)))
    if not torch.allclose(whole[order], part, atol=1e-6):
        raise LawBroken("a row depends on which other rows are in the batch")


@of_images
def law_same_dice_same_images(method: Shift) -> None:
    """The same dice give the same images, and the global random state is not touched."""
    batch = pictures(method, 16, 3, 4)
    state = torch.random.get_rng_state()
    once, again = (images(method(batch, 0.5, dice_of(batch))) for _ in range(2))
    same(once, again, "the same dice give other images")
    same(torch.random.get_rng_state(), state, "touches the global random state")


@of_images
def law_empty_batch(method: Shift) -> None:
    """A batch without rows comes back without rows."""
    batch = pictures(method, 8, 1, 2).take(slice(0, 0))
    if images(method(batch, 0.5, dice_of(batch))).shape != images(batch).shape:
        raise LawBroken("an empty batch does not come back empty")


@of_images
def law_refuses_severity_outside(method: Shift) -> None:
    """A severity below 0 or above 1 is refused."""
    batch = pictures(method, 8, 1, 2)
    for severity in (-0.1, 1.1, float("nan")):
        refused(lambda s=severity: method(batch, s, dice_of(batch)), f"severity {severity}")  # type: ignore[misc]


@of_images
def law_refuses_values_outside(method: Shift) -> None:
    """Images with values outside [0, 1], or none at all, are refused, not cut off in silence."""
    for value in (-0.5, 1.5, float("nan"), float("inf")):
        batch = pictures(method, 8, 1, 2)
        x = images(batch).clone()
        x[1, 0, 3, 3] = value
        refused(
            lambda x=x, batch=batch: method(batch._replace(x=x), 1.0, dice_of(batch)),  # type: ignore[misc]
            f"images with the value {value}",
        )


@of_images
def law_refuses_what_it_cannot_change(method: Shift) -> None:
    """Texts are refused, not handed back: unchanged inputs would count as robustness."""
    batch = Batch(["a", "b"], torch.zeros(2).long(), torch.arange(2))
    try:
        out = method(batch, 1.0, dice_of(batch))
    except HoldfastError:
        return
    if out.x == batch.x:
        raise LawBroken("hands back inputs that it cannot change")
