"""Other light on the same scene: a flash, shadows that its shape throws, and several lights."""

from __future__ import annotations

from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.warp import pixels, sampled
from holdfast.shifts.published import Published, Row
from holdfast.shifts.scene import nearness, on_scenes

FLASH = Published(none=(0.0,), tables={224: tuple((1 / c,) for c in (2.4, 1.4, 0.9, 0.6, 0.4))})
LIGHTS, MARCH, AMBIENT = 5, 12, 0.2
COARSE = 32  # pixels on which lights are compared
# How many lights, and between which strengths each.
MANY = Published(
    none=(None, None, None),
    tables={
        224: ((5, 0.2, 0.3), (4, 0.25, 0.35), (3, 0.35, 0.45), (2, 0.5, 0.6), (1, 1.0, 1.1)),
    },
    whole=True,
)
RANK = Published(none=(0.0,), tables={224: tuple((float(k),) for k in range(1, LIGHTS + 1))})


def normals(depth: Tensor) -> Tensor:
    """`(B, 3, H, W)` of length 1: right, down and towards the camera, of a surface of depth.

    The image is taken to be as wide as the deepest pixel is far.

    Args:
        depth: `(B, 1, H, W)` in [0, 1].
    """
    side = min(depth.shape[2:])
    big = F.pad(depth, (1, 1, 1, 1), mode="replicate")
    right = (big[:, :, 1:-1, 2:] - big[:, :, 1:-1, :-2]) * side / 2
    down = (big[:, :, 2:, 1:-1] - big[:, :, :-2, 1:-1]) * side / 2
    return F.normalize(torch.cat([right, down, torch.ones_like(depth)], 1), dim=1)


def relit(depth: Tensor, azimuth: Tensor, elevation: Tensor) -> Tensor:
    """`(B, 1, H, W)` in [0, 1]: how bright a matt surface is under one far light.

    A pixel is lit by the cosine between its normal and the light, unless a march along the
    surface towards the light meets something nearer to the camera than the ray.

    Args:
        depth: `(B, 1, H, W)` in [0, 1].
        azimuth: `(B,)` of the light in the image, radians from the right, downwards.
        elevation: `(B,)` above the image, radians.
    """
    a, e = azimuth[:, None, None], elevation[:, None, None]
    light = torch.stack([a.cos() * e.cos(), a.sin() * e.cos(), e.sin()], 1)
    shade = (normals(depth) * light).sum(1, keepdim=True).clamp(min=0)
    column, row = pixels(depth)
    side, lit = min(depth.shape[2:]), torch.ones_like(depth)
    for k in range(1, MARCH + 1):
        way = k / MARCH / 2  # half of the image at most
        at = torch.broadcast_tensors(column + way * side * a.cos(), row + way * side * a.sin())
        there = sampled(depth, at[0], at[1], "nearest")
        ray = depth - way * e.tan()[:, None]
        lit = torch.where(there < ray - 1e-3, 0.0, lit)
    return AMBIENT + (1 - AMBIENT) * shade * lit


@register("shift", cites="3dcc", says="A flash at the camera.")
def flash(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Brightens each pixel by its share of a light at the camera.

    That is the cosine between its normal and the line of sight over its squared distance, 1
    for a surface as near as the nearest that faces the camera.

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
        return x + x * normals(depth)[:, 2:] * nearness(depth).square() * row[0]

    return on_scenes(batch, severity, dice, "flash", FLASH, change)


@register("shift", cites="3dcc", says="Light from one side, with shadows.")
def shadow(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Replaces the light by one from a random direction, with the shadows that it throws.

    Five lights are drawn per image and ordered by how bright they leave it; level k takes the
    k-th, the darkest last.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["depth"]` holds depth in any unit, else a
            plane stands for it.
        severity: in [0, 1]; k / 5 is level k, between levels two lights are blended.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for depth of another size.

    Unlike the paper: matt surfaces and shadows from the depth alone, without a renderer; no
    light is made stronger than the original one.
    """

    def change(x: Tensor, depth: Tensor, row: Row, dice: Dice) -> Tensor:
        u = dice.uniform((2, LIGHTS), device=x.device, dtype=x.dtype)
        azimuth, elevation = 2 * pi * u[:, 0], pi / 9 + 2 * pi / 9 * u[:, 1]
        small = F.interpolate(depth, [min(n, COARSE) for n in depth.shape[2:]], mode="area")
        seen = [relit(small, azimuth[:, k], elevation[:, k]) for k in range(LIGHTS)]
        order = torch.stack([s.mean((1, 2, 3)) for s in seen], 1).argsort(1, descending=True)
        low = min(int(row[0]), LIGHTS - 1)  # the light below the level, and the one above it
        ends = [
            relit(depth, *(a.gather(1, order[:, k - 1 : k])[:, 0] for a in (azimuth, elevation)))
            if k else torch.ones_like(depth)
            for k in (low, low + 1)
        ]  # fmt: skip
        return x * torch.lerp(ends[0], ends[1], row[0] - low)

    return on_scenes(batch, severity, dice, "shadow", RANK, change)


@register("shift", cites="3dcc", says="Several lights at once, the fewer the harder.")
def multi_illumination(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Replaces the light by the sum of several from random directions: five down to one.

    The published strengths of level k lie between two numbers whose sum over the `6 - k` lights
    is about one, so that mostly the shading changes: few lights leave hard shadows.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["depth"]` holds depth in any unit, else a
            plane stands for it.
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for depth of another size.

    Unlike the paper: matt surfaces and shadows from the depth alone, without a renderer.
    """

    def change(x: Tensor, depth: Tensor, row: Row, dice: Dice) -> Tensor:
        count, low, high = int(row[0]), row[1], row[2]
        u = dice.uniform((3, LIGHTS), device=x.device, dtype=x.dtype)[:, :, :count]
        azimuth, elevation = 2 * pi * u[:, 0], pi / 9 + 2 * pi / 9 * u[:, 1]
        strength = (low + (high - low) * u[:, 2])[..., None, None]
        shades = [relit(depth, azimuth[:, k], elevation[:, k]) for k in range(count)]
        light = (torch.cat(shades, 1) * strength).sum(1, keepdim=True)
        return x * light

    return on_scenes(batch, severity, dice, "multi-illumination", MANY, change)
