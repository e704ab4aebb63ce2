"""Classical edits of pictures, each row by its own amount: tones, colours, sharpness, geometry.

All take images `(B, C, H, W)` in [0, 1] and one amount per image; results may leave [0, 1] and
are cut off by the caller. Grey images have no colour: `colour` leaves them as they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.ops.batch import fit

LEVELS = 256
LUMA = (0.299, 0.587, 0.114)


def grey(x: Tensor) -> Tensor:
    """`(B, 1, H, W)`: luminance of three channels, the mean of any other number."""
    if x.shape[1] != len(LUMA):
        return x.mean(1, keepdim=True)
    return (x * x.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def autocontrast(x: Tensor) -> Tensor:
    """Every channel stretched to [0, 1]; constant ones stay."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    wide = high - low
    return torch.where(wide > 0, (x - low) / wide.clamp(min=1e-12), x)


def equalized(x: Tensor) -> Tensor:
    """Every channel with as many pixels at each of 256 levels as can be; constant ones stay.

    A level becomes the share of pixels below it, among those below the highest level. Division
    is exact: Pillow rounds the pixels per level down, which leaves small images as they are.
    """
    level = (x * (LEVELS - 1)).round().long().flatten(2)
    count = torch.zeros(*level.shape[:2], LEVELS, dtype=torch.float64, device=x.device)
    count.scatter_add_(2, level, torch.ones_like(level, dtype=torch.float64))
    below = count.cumsum(2) - count
    top = below.gather(2, level.amax(2, keepdim=True))
    found = (below / top.clamp(min=1)).gather(2, level).reshape(x.shape).to(x)
    return torch.where(top[..., None] > 0, found, x)


def posterized(x: Tensor, bits: Tensor) -> Tensor:
    """Every value with its highest `bits` (of eight) alone."""
    step = fit(2.0 ** (8 - bits), x)
    level = (x * (LEVELS - 1)).round()
    return (level / step).floor() * step / (LEVELS - 1)


def solarized(x: Tensor, threshold: Tensor) -> Tensor:
    """Values from the threshold on are inverted."""
    return torch.where(x < fit(threshold, x), x, 1 - x)


def towards(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`other + factor (x - other)`: 1 is the image, 0 the other, above 1 away from it."""
    return other + fit(factor, x) * (x - other)


def colour(x: Tensor, factor: Tensor) -> Tensor:
    """Colours paler (below 1) or stronger."""
    return towards(x, grey(x), factor) if x.shape[1] == len(LUMA) else x


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Values nearer to the mean of the luminance (below 1) or further from it."""
    return towards(x, grey(x).mean((1, 2, 3), keepdim=True), factor)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Values times the factor."""
    return fit(factor, x) * x


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Towards a mean of 3 by 3 pixels, the middle one five times, or away from it.

    The outermost pixels stay.
    """
    if min(x.shape[2:]) < 3:
        return x
    kernel = torch.ones(3, 3, dtype=x.dtype, device=x.device)
    kernel[1, 1] = 5
    planes = x.flatten(0, 1)[:, None]
    inner = F.conv2d(planes, kernel[None, None] / 13)
    soft = planes.clone()
    soft[:, :, 1:-1, 1:-1] = inner
    return towards(x, soft.view(x.shape), factor)


def moved(x: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Images read bilinearly at `matrix` times the place plus `shift`, black outside.

    Args:
        x: `(B, C, H, W)`.
        matrix: `(B, 2, 2)` for (column, row) in pixels from the middle of the image.
        shift: `(B, 2)` columns and rows in pixels.
    """
    height, width = x.shape[2:]
    half = x.new_tensor([width / 2, height / 2])
    # From places in pixels to those of grid_sample, where the image reaches from -1 to 1.
    turn = matrix * half / half[:, None]
    theta = torch.cat([turn, (shift / half)[..., None]], 2).to(x)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="zeros", align_corners=False)


def rotation(angle: Tensor) -> Tensor:
    """`(B, 2, 2)` turns by angles in radians."""
    c, s = angle.cos(), angle.sin()
    return torch.stack([torch.stack([c, s], 1), torch.stack([-s, c], 1)], 1)


def shear(across: Tensor, down: Tensor) -> Tensor:
    """`(B, 2, 2)` slants: columns by the row, rows by the column."""
    one = torch.ones_like(across)
    return torch.stack([torch.stack([one, across], 1), torch.stack([down, one], 1)], 1)
