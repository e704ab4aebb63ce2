"""Pictures as if drawn, painted or tattooed: procedural substitutes for collected renditions."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.shifts.published import Published, Row, on_images

MIXED = Published(none=(0.0,), tables={32: tuple((k / 5,) for k in range(1, 6))})
Style = Callable[[Tensor, Dice], Tensor]


def _mixed(batch: Batch, severity: float, dice: Dice | None, name: str, style: Style) -> Batch:
    """Between the image and its rendition."""

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return x + row[0] * (style(x, dice) - x)

    return on_images(batch, severity, dice, name, MIXED, change)


def outlines(x: Tensor) -> Tensor:
    """`(B, 1, H, W)` in [0, 1]: how much brightness changes within 3 by 3 pixels."""
    grey = F.pad(x.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return F.max_pool2d(grey, 3, 1) + F.max_pool2d(-grey, 3, 1)


def median(x: Tensor) -> Tensor:
    """The median of 3 by 3 pixels, channel by channel."""
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    patches = wide.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    return patches.median(-1).values


def rough(shape: torch.Size, dice: Dice, like: Tensor, cell: int = 4) -> Tensor:
    """`(B, 1, H, W)` in [0, 1]: a coarse random texture, smooth between its cells."""
    height, width = shape[2:]
    small = dice.uniform((1, -(-height // cell) + 1, -(-width // cell) + 1), device=like.device,
                         dtype=like.dtype)  # fmt: skip
    return F.interpolate(small, size=(height, width), mode="bilinear", align_corners=True)


@register("shift", cites="coco-o")
def cartoon(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Mixes each image with a cartoon of it: three levels per channel and dark outlines.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the share of the rendition.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def style(x: Tensor, dice: Dice) -> Tensor:
        return (x * 2).round() / 2 * (1 - outlines(x))

    return _mixed(batch, severity, dice, "cartoon", style)


@register("shift", cites="coco-o")
def painting(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Mixes each image with a painting of it: medians, few levels, and a rough canvas.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the share of the rendition.
        dice: one row per image, of the canvas.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def style(x: Tensor, dice: Dice) -> Tensor:
        strokes = (median(median(x)) * 5).round() / 5
        return strokes * (0.7 + 0.3 * rough(x.shape, dice, x, cell=2))

    return _mixed(batch, severity, dice, "painting", style)


@register("shift", cites="coco-o")
def tattoo(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Mixes each image with a tattoo of it: thick dark outlines on skin.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the share of the rendition.
        dice: one row per image, of the skin.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def style(x: Tensor, dice: Dice) -> Tensor:
        tone = x.new_tensor((0.85, 0.65, 0.55)) if x.shape[1] == 3 else x.new_full((1,), 0.7)
        skin = tone[:, None, None] * (0.9 + 0.1 * rough(x.shape, dice, x))
        thick = F.max_pool2d(outlines(x), 3, 1, 1)
        return (skin * (1 - 0.9 * thick)).expand_as(x)

    return _mixed(batch, severity, dice, "tattoo", style)


@register("shift", cites="coco-o")
def handmade(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Mixes each image with a handmade copy: coarse cloth whose weave replaces the texture.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the share of the rendition.
        dice: one row per image, of the threads.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def style(x: Tensor, dice: Dice) -> Tensor:
        flat = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
        line = torch.arange(max(x.shape[2:]), device=x.device) % 2
        weave = (line[: x.shape[2], None] ^ line[None, : x.shape[3]]).to(x)
        return flat * (0.55 + 0.3 * weave + 0.15 * rough(x.shape, dice, x))

    return _mixed(batch, severity, dice, "handmade", style)
