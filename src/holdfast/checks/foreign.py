"""Inputs that do not belong: far from the data, and uncomfortably near."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.checks.bundled import bundled
from holdfast.core.dice import Dice

IMAGE = 4  # dimensions of (B, C, H, W)


def foreign(x: Tensor, y: Tensor, dice: Dice, known: str = "") -> dict[str, Tensor]:
    """Foreign sets of the size and form of `x`, by name.

    Far: noise with the mean and variance of each position, constants and smooth textures with
    those of all values, so that brightness alone does not give them away; and another bundled
    data set where one has this shape. Near: two halves of rows of different classes, images
    with shuffled patches, images turned by 90 degrees.

    Args:
        x: `(B, ...)` familiar inputs in [0, 1].
        y: `(B,)` their labels.
        dice: keyed draws of these rows.
        known: name of the audited data, which is not foreign to itself.
    """
    d = dice.part(slice(0, len(x)))
    mean, spread = x.mean(0, keepdim=True), x.std(0, keepdim=True, unbiased=False)
    shape = x.shape[1:]
    noise = (mean + spread * d.spawn("noise").normal(shape, dtype=x.dtype)).clamp(0, 1)
    level = x.mean() + x.std() * d.spawn("constant").normal([1] * len(shape), dtype=x.dtype)
    sets = {"far: noise": noise, "far: constant": level.clamp(0, 1).expand_as(x).contiguous()}
    sets |= bundled(x, d, known)
    other = x[_partners(y, d)] if len(x) else x
    if x.dim() != IMAGE:
        pick = d.spawn("mixture").uniform(shape) < 0.5
        return sets | {"near: mixed columns": torch.where(pick, x, other)}
    sets["far: texture"] = _texture(x, d)
    half = x.shape[-1] // 2
    sets["near: two halves"] = torch.cat([x[..., :half], other[..., half:]], -1)
    sets["near: shuffled patches"] = _shuffled(x, d)
    if x.shape[-1] == x.shape[-2]:
        sets["near: turned"] = x.rot90(1, (-2, -1))
    return sets


def _partners(y: Tensor, dice: Dice) -> Tensor:
    """`(B,)` for each row another one of a different class; any row where there is one class."""
    order = y.argsort(stable=True)
    kinds, back, count = y.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0)  # where each class ends in the order
    away = len(y) - count[back] if len(kinds) > 1 else count[back]
    step = (dice.spawn("pairs").uniform().to(torch.float64) * away).long()
    return order[(last[back] + step) % len(y)]


def _texture(x: Tensor, dice: Dice) -> Tensor:
    """Plane waves of a random direction and frequency, with the mean and variance of the data."""
    height, width = x.shape[-2:]
    wave = dice.spawn("texture").uniform((3, 1, 1, 1), dtype=x.dtype)
    rows = torch.linspace(0, 1, height, dtype=x.dtype).view(1, 1, height, 1)
    columns = torch.linspace(0, 1, width, dtype=x.dtype).view(1, 1, 1, width)
    turns = (2 + 6 * wave[:, 0]) * columns + (2 + 6 * wave[:, 1]) * rows + wave[:, 2]
    return (x.mean() + x.std() * 2**0.5 * (2 * torch.pi * turns).sin()).clamp(0, 1).expand_as(x)


def _shuffled(x: Tensor, dice: Dice) -> Tensor:
    """Each image cut into a 4 x 4 (or 2 x 2) grid whose patches are dealt out anew."""
    count = next((k for k in (4, 2) if x.shape[-1] % k == 0 and x.shape[-2] % k == 0), 1)
    b, c, height, width = x.shape
    h, w = height // count, width // count
    tiles = x.view(b, c, count, h, count, w).permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c, h, w)
    order = dice.spawn("patches").uniform((count * count,)).argsort(1)
    dealt = tiles.gather(1, order[:, :, None, None, None].expand_as(tiles))
    grid = dealt.view(b, count, count, c, h, w).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(b, c, height, width)
