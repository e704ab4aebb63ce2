"""Corruptions that know how far away things are: fog, and what stands for depth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.shifts.published import Published, Row, on_images

NEAR = 0.1  # depth of the lowest row of the plane, that of the highest is 1
HAZE = Published(none=(0.0,), tables={224: ((4.0,), (8.0,), (12.0,), (16.0,), (20.0,))})
Change = Callable[[Tensor, Tensor, Row, Dice], Tensor]


def depth_of(batch: Batch, x: Tensor) -> Tensor:
    """`(B, 1, H, W)` in [0, 1]: how far away each pixel is; the farthest of an image has 1.

    Taken from `more["depth"]` in any unit (what is not above 0, or not finite, counts as
    nearest); without it the image is taken for a view over a plane: near below, far above.

    Raises:
        ShapeError: if the depth does not fit the images.
    """
    given = batch.more.get("depth")
    if given is None:
        height = int(x.shape[2])
        share = (torch.arange(height, device=x.device, dtype=x.dtype) + 0.5) / height
        return (1 - (1 - NEAR) * share)[None, None, :, None].expand(len(x), 1, *x.shape[2:])
    depth = (given if given.dim() == x.dim() else given[:, None]).to(x)
    if depth.shape != (len(x), 1, *x.shape[2:]):
        raise ShapeError(
            f"depth {tuple(given.shape)} does not fit images {tuple(x.shape)}",
            fix='Give more["depth"] as (B, H, W) or (B, 1, H, W) of the size of the images.',
        )
    depth = torch.where(depth.isfinite(), depth, 0).clamp(min=0)
    return depth / depth.amax((2, 3), keepdim=True).clamp(min=1e-12)


def nearness(depth: Tensor) -> Tensor:
    """`(B, 1, H, W)` in (0, 1]: depth of the nearest pixel over that of each, as in parallax."""
    safe = depth.clamp(min=1e-3)
    return safe.amin((2, 3), keepdim=True) / safe


def on_scenes(
    batch: Batch, severity: float, dice: Dice | None, name: str, table: Published, change: Change
) -> Batch:
    """The batch with its images changed by what knows their depth; see `on_images`."""

    def inner(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return change(x, depth_of(batch, x), row, dice)

    return on_images(batch, severity, dice, name, table, inner)


@register("shift", cites="3dcc", name="fog-3d", says="Fog that thickens with distance.")
def fog_3d(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Blends each pixel into the image's mean grey by exp(-a depth): what is far vanishes first.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["depth"]` holds depth in any unit, else a
            plane stands for it.
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for depth of another size.
    """

    def change(x: Tensor, depth: Tensor, row: Row, dice: Dice) -> Tensor:
        kept = torch.exp(-row[0] * depth)
        return kept * x + (1 - kept) * x.mean((1, 2, 3), keepdim=True)

    return on_scenes(batch, severity, dice, "fog-3d", HAZE, change)
