"""One attribute of the object or its surroundings is edited, everything else stays."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Inner, Positive, Share
from holdfast.ops.compose import boxes, edited, filled, object_mask, shrunk
from holdfast.ops.filters import smooth
from holdfast.ops.image import cloud_draws, clouds
from holdfast.shifts.published import Published, Row, on_images

LINEAR = Published(none=(0.0,), tables={32: tuple((k / 5,) for k in range(1, 6))})
Edit = Callable[[Tensor, Tensor, float, Dice], Tensor]


def mask_of(batch: Batch, x: Tensor) -> Tensor:
    """`(B, 1, H, W)`: the object's mask that came with the batch as `mask`, or a guess.

    Raises:
        ShapeError: if the mask that came does not fit the images.
    """
    given = batch.more.get("mask")
    if given is None:
        return object_mask(x)
    mask = given.to(x) if given.dim() == x.dim() else given[:, None].to(x)
    if mask.shape != (len(x), 1, *x.shape[2:]):
        raise ShapeError(
            f"mask {tuple(given.shape)} does not fit images {tuple(x.shape)}",
            fix='Give more["mask"] as (B, H, W) or (B, 1, H, W) of the size of the images.',
        )
    return mask.clamp(0, 1)


def _on_objects(batch: Batch, severity: float, dice: Dice | None, name: str, edit: Edit) -> Batch:
    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return edit(x, mask_of(batch, x), row[0], dice)

    return on_images(batch, severity, dice, name, LINEAR, change)


@register("shift", cites="imagenet-e", says="A smoother background behind the same object.")
def plain_background(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Blends the background towards its own blur; the object stays bit for bit.

    At severity 1 nothing finer than an eighth of the image is left around the object.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["mask"]` says where the object is, else it
            is guessed.
        severity: in [0, 1], share of the blur.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for a mask of another size.
    """

    def edit(x: Tensor, mask: Tensor, amount: float, dice: Dice) -> Tensor:
        quiet = smooth(filled(x, mask), min(x.shape[2:]) / 8)
        return x + amount * (1 - mask) * (quiet - x)

    return _on_objects(batch, severity, dice, "plain-background", edit)


@register("shift", cites="imagenet-e", says="A richer texture behind the same object.")
def textured_background(
    batch: Batch, severity: float, dice: Dice | None = None, *, contrast: Inner = 0.5
) -> Batch:
    """Adds clouds of all sizes to the background; the object stays bit for bit.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["mask"]` says where the object is, else it
            is guessed.
        severity: in [0, 1], share of the contrast.
        dice: one row per image.
        contrast: of the texture at severity 1, from its darkest to its brightest place.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for a mask of another size.

    Unlike the paper: no diffusion model draws the background, a random texture is added to it.
    """

    def edit(x: Tensor, mask: Tensor, amount: float, dice: Dice) -> Tensor:
        height, width = int(x.shape[2]), int(x.shape[3])
        draws = dice.uniform(cloud_draws(height, width), device=x.device, dtype=x.dtype)
        texture = clouds(draws, 1.2, height, width)[:, None] - 0.5
        return x + amount * contrast * (1 - mask) * texture

    return _on_objects(batch, severity, dice, "textured-background", edit)


@register("shift", cites="imagenet-e", says="The same object, smaller.")
def object_size(
    batch: Batch, severity: float, dice: Dice | None = None, *, smallest: Inner = 0.05
) -> Batch:
    """Shrinks the object in its place, down to a share of the image at severity 1.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["mask"]` says where the object is, else it
            is guessed.
        severity: in [0, 1]; the area shrinks in proportion.
        dice: not used; nothing is drawn.
        smallest: share of the image's area at severity 1; smaller objects stay as they are.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for a mask of another size.
    """

    def edit(x: Tensor, mask: Tensor, amount: float, dice: Dice) -> Tensor:
        side = shrunk(mask, smallest, amount)
        still = x.new_zeros(len(x))
        return edited(x, mask, filled(x, mask), side, still, x.new_zeros(len(x), 2))

    return _on_objects(batch, severity, dice, "object-size", edit)


@register("shift", cites="imagenet-e", says="The same object, elsewhere.")
def object_position(
    batch: Batch, severity: float, dice: Dice | None = None, *, reach: Share = 0.25
) -> Batch:
    """Moves the object in a random direction; its middle stays in the image.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["mask"]` says where the object is, else it
            is guessed.
        severity: in [0, 1], share of the drawn move.
        dice: one row per image.
        reach: longest move, as a share of each side.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for a mask of another size.

    Unlike the paper: the object keeps its size, and may leave the image in part.
    """

    def edit(x: Tensor, mask: Tensor, amount: float, dice: Dice) -> Tensor:
        way = 2 * dice.uniform((2,), device=x.device, dtype=x.dtype) - 1
        sides = torch.tensor(x.shape[2:], device=x.device, dtype=x.dtype)
        start = boxes(mask)[:, :2].to(x) / sides
        move = (start + amount * reach * way).clamp(0, 1) - start
        still = x.new_zeros(len(x))
        return edited(x, mask, filled(x, mask), still + 1, still, move)

    return _on_objects(batch, severity, dice, "object-position", edit)


@register("shift", cites="imagenet-e", says="The same object, turned.")
def object_direction(
    batch: Batch, severity: float, dice: Dice | None = None, *, degrees: Positive = 90.0
) -> Batch:
    """Turns the object in its place.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["mask"]` says where the object is, else it
            is guessed.
        severity: in [0, 1], share of an angle drawn to either side.
        dice: one row per image.
        degrees: largest angle.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for a mask of another size.

    Unlike the paper: the object keeps its size.
    """

    def edit(x: Tensor, mask: Tensor, amount: float, dice: Dice) -> Tensor:
        share = 2 * dice.uniform(device=x.device, dtype=x.dtype) - 1
        same = torch.ones_like(share)
        angle = amount * degrees * pi / 180 * share
        return edited(x, mask, filled(x, mask), same, angle, x.new_zeros(len(x), 2))

    return _on_objects(batch, severity, dice, "object-direction", edit)
