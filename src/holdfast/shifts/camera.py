"""A camera that moves: what is near moves more than what is far."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.warp import pixels, sampled
from holdfast.shifts.published import Published, Row
from holdfast.shifts.scene import nearness, on_scenes

# Shares of a path of 60 frames that are averaged.
ACROSS = Published(none=(0.0,), tables={224: tuple((k / 60,) for k in (20, 30, 40, 50, 60))})
ALONG = Published(none=(0.0,), tables={224: tuple((k / 60,) for k in (20, 25, 30, 35, 38))})
VIEW = Published(none=(0.0,), tables={224: tuple((k / 5,) for k in range(1, 6))})
PATH = 512  # the published path is 50 to 75 pixels long across, at images of 512
ZOOM = 0.5  # how much of the distance to the nearest pixel the camera goes along its path


def _across(dice: Dice, x: Tensor) -> tuple[Tensor, Tensor]:
    """`(B, 1, 1)` columns and rows by which the nearest pixels move in all."""
    u = dice.uniform((3,), device=x.device, dtype=x.dtype)
    side = min(x.shape[2:]) / PATH
    sign = torch.where(u[:, 0] < 0.5, -1.0, 1.0)
    right = sign * (50 + 25 * u[:, 1]) * side
    down = (150 * u[:, 2] - 75) * side
    return right.to(x)[:, None, None], down[:, None, None]


def _average(
    x: Tensor, longest: float, at: Callable[[float], tuple[Tensor, Tensor]], share: float
) -> Tensor:
    """Mean of views along a path; one for every other pixel of the longest way, 60 at most.

    Args:
        x: images.
        longest: way of the pixel that moves most, in pixels.
        at: time in [0, 1] -> columns and rows to read at.
        share: of the path that is averaged.
    """
    count = min(60, max(2, ceil(longest / 2)))
    out = torch.zeros_like(x)
    for k in range(count):
        out += sampled(x, *at(share * (k + 0.5) / count), "nearest")
    return out / count


@register("shift", cites="3dcc", name="xy-motion-blur-3d",
          says="The camera moves sideways: near things smear more.")  # fmt: skip
def xy_motion_blur_3d(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Averages the views of a camera that moves sideways while the shutter is open.

    A pixel moves in proportion to the inverse of its depth. The path is straight, mostly
    sideways, and drawn per image.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["depth"]` holds depth in any unit, else a
            plane stands for it.
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for depth of another size.

    Unlike the paper: views are read back through the depth of the original one, without a
    point cloud and painted gaps; frames stand two pixels apart at most, instead of 20 to 60.
    """

    def change(x: Tensor, depth: Tensor, row: Row, dice: Dice) -> Tensor:
        (right, down), near = _across(dice, x), nearness(depth)[:, 0]
        column, line = pixels(x)
        longest = row[0] * 107 / PATH * min(x.shape[2:])  # 75 both ways

        def at(t: float) -> tuple[Tensor, Tensor]:
            return column - t * right * near, line - t * down * near

        return _average(x, longest, at, row[0])

    return on_scenes(batch, severity, dice, "xy-motion-blur-3d", ACROSS, change)


@register("shift", cites="3dcc", name="z-motion-blur-3d",
          says="The camera moves ahead: near things rush outwards.")  # fmt: skip
def z_motion_blur_3d(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Averages the views of a camera that moves ahead while the shutter is open.

    A pixel moves away from the middle by the factor 1 / (1 - way / depth).

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["depth"]` holds depth in any unit, else a
            plane stands for it.
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for depth of another size.

    Unlike the paper: as for `xy-motion-blur-3d`; the whole path goes half of the way to the
    nearest pixel.
    """

    def change(x: Tensor, depth: Tensor, row: Row, dice: Dice) -> Tensor:
        near = nearness(depth)[:, 0]
        column, line = pixels(x)
        middle = [(n - 1) / 2 for n in (x.shape[3], x.shape[2])]

        def at(t: float) -> tuple[Tensor, Tensor]:
            back = 1 - t * ZOOM * near
            return middle[0] + (column - middle[0]) * back, middle[1] + (line - middle[1]) * back

        return _average(x, row[0] * ZOOM * max(middle), at, row[0])

    return on_scenes(batch, severity, dice, "z-motion-blur-3d", ALONG, change)


@register("shift", cites="3dcc", says="The same scene from a place beside.")
def view_change(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Shows each image from a place a little beside: near pixels move more than far ones.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["depth"]` holds depth in any unit, else a
            plane stands for it.
        severity: in [0, 1]; at 1 the camera moves as far as in the whole path of
            `xy-motion-blur-3d`.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for depth of another size.

    Unlike the paper: an approximation by parallax instead of a mesh with yaw, pitch and roll.
    """

    def change(x: Tensor, depth: Tensor, row: Row, dice: Dice) -> Tensor:
        (right, down), near = _across(dice, x), nearness(depth)[:, 0]
        column, line = pixels(x)
        way = row[0] * near
        return sampled(x, column - right * way, line - down * way, "nearest")

    return on_scenes(batch, severity, dice, "view-change", VIEW, change)
