"""Edges of pictures, distances from them, and levels of equal counts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.ops.filters import padded

LEVELS = 256


def slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel slopes `(down, right)` of `(B, 1, H, W)`, not normalised; the border mirrors."""
    big = padded(x, 1, 1, "reflect")
    along, upright = (_one_two_one(big, dim) for dim in (3, 2))
    return along[:, :, 2:] - along[:, :, :-2], upright[..., 2:] - upright[..., :-2]


def _one_two_one(x: Tensor, dim: int) -> Tensor:
    """Each place twice and its two neighbours along an axis once; the ends are lost."""
    n = x.shape[dim] - 2
    total = x.narrow(dim, 0, n) + x.narrow(dim, 2, n)
    return total.add_(x.narrow(dim, 1, n), alpha=2)


def _ridges(size: Tensor, down: Tensor, right: Tensor, place: Tensor) -> Tensor:
    """Bool `(n,)`: whether the slope at a place is not less than its two neighbours along it.

    Neighbours are read between pixels.

    Args:
        size: of the slope, `(B, 1, H, W)`.
        down: part of the slope.
        right: the other part.
        place: `(n,)` positions in the flat images, none of them on a border.
    """
    width = size.shape[3]
    flat, down, right = size.flatten(), down.flatten()[place], right.flatten()[place]

    steep = down.abs() >= right.abs()
    same = (down >= 0) & (right >= 0) | (down <= 0) & (right <= 0)
    w = torch.minimum(down.abs(), right.abs()) / torch.maximum(down.abs(), right.abs()).clamp(
        min=1e-300
    )
    straight = torch.where(steep, width, 1)
    slanted = torch.where(same, width + 1, torch.where(steep, width - 1, 1 - width))
    sides = (
        flat[place + sign * slanted] * w + flat[place + sign * straight] * (1 - w)
        for sign in (1, -1)
    )
    return torch.maximum(*sides) <= flat[place]


def joined(strong: Tensor, weak: Tensor) -> Tensor:
    """Bool `(B, 1, H, W)`: weak pixels with a chain of weak neighbours (of eight) to a strong one.

    From the strong ones the weak neighbours are reached, from these theirs, until none is new.

    Cost: eight look-ups per pixel that is reached; one round per pixel of the longest chain.
    """
    rim = F.pad(weak, (1, 1, 1, 1))
    width = rim.shape[-1]
    left = rim.flatten().clone()  # weak ones that are not reached yet
    steps = torch.tensor([i * width + j for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j])
    steps, last = steps.to(weak.device), torch.zeros_like(left, dtype=torch.int64)
    front = (F.pad(strong, (1, 1, 1, 1)).flatten() & left).nonzero()[:, 0]
    left[front] = False
    while len(front):
        near = (front[:, None] + steps).flatten()
        near = near[left[near]]
        number = torch.arange(len(near), device=weak.device)
        last[near] = number
        front = near[last[near] == number]  # each place once
        left[front] = False
    return weak & ~left.view(rim.shape)[..., 1:-1, 1:-1]


def canny(x: Tensor, sigma: float, low: float, high: float, *, blocks: bool = False) -> Tensor:
    """Edges: ridges of the slope that are steep, or joined to steep ones.

    Smooth by a Gaussian (what lies outside does not count), take Sobel slopes, keep ridges
    above `low` that are joined to one above `high`, never the outermost pixels.

    Args:
        x: `(B, 1, H, W)`; computed in float64.
        sigma: of the smoothing, in pixels; 0 for none.
        low: slope of an edge that is joined to another.
        high: slope of an edge by itself.
        blocks: whether the slope is the sum of its two parts, not their Euclidean length.

    Returns:
        Bool, of the same shape.
    """
    x = x.double()
    if sigma:
        x = _smoothed_inside(x, sigma)
    down, right = slopes(x)
    size = down.abs() + right.abs() if blocks else torch.hypot(down, right)
    weak = torch.zeros_like(size, dtype=torch.bool)
    inner = (..., slice(1, -1), slice(1, -1))
    weak[inner] = (size[inner] >= low) & (size[inner] > 0)
    place = weak.flatten().nonzero()[:, 0]
    weak.view(-1)[place] = _ridges(size, down, right, place)
    return joined(weak & (size >= high), weak)


def _smoothed_inside(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur whose weights outside of the image go to those inside."""
    for dim in (2, 3):
        place = torch.arange(x.shape[dim], device=x.device, dtype=x.dtype)
        off = place - place[:, None]
        weight = torch.exp(-(off**2) / (2 * sigma**2)) * (off.abs() <= int(4 * sigma + 0.5))
        weight = weight / weight.sum(1, keepdim=True)
        x = weight @ x if dim == 2 else x @ weight.T
    return x


def distance(edges: Tensor, most: int) -> Tensor:
    """Euclidean distance of each pixel to the nearest edge, at most `most`.

    Args:
        edges: bool `(B, 1, H, W)`.
        most: whole pixels.

    Cost: some `2 most` comparisons per pixel.
    """
    far = most**2
    room = torch.int16 if 2 * far <= torch.iinfo(torch.int16).max else torch.int32
    square = _along(torch.where(edges, 0, most).to(room), most).square_()
    wide, n = F.pad(square, (most, most), value=far), square.shape[3]
    near = torch.empty_like(square)
    for i in range(1, most + 1):
        for start in (most - i, most + i):
            torch.add(wide.narrow(3, start, n), i * i, out=near)
            torch.minimum(square, near, out=square)
    return square.clamp_(max=far).float().sqrt_()


def _along(steps: Tensor, most: int) -> Tensor:
    """Steps to the nearest zero along columns, at most `most`; other values are `most`.

    Reaches of 1, 2, 4 ... steps add up to any distance.
    """
    reach, n = 1, steps.shape[2]
    while reach <= most and reach < n:
        up, down = steps[:, :, : n - reach] + reach, steps[:, :, reach:] + reach
        torch.minimum(steps[:, :, reach:], up, out=steps[:, :, reach:])
        torch.minimum(steps[:, :, : n - reach], down, out=steps[:, :, : n - reach])
        reach *= 2
    return steps.clamp_(max=most)


def equalized(x: Tensor) -> Tensor:
    """Images of 256 levels `(B, 1, H, W)` with their levels spread by rank over 0 to 255.

    The lowest level that occurs goes to 0; an image of one level stays as it is.
    """
    flat = x.long().flatten(1)
    counts = flat.new_zeros(len(x), LEVELS).scatter_add(1, flat, torch.ones_like(flat))
    upto = counts.cumsum(1).double()
    first = counts.gather(1, flat.amin(1, keepdim=True)).double()
    rest = flat.shape[1] - first
    level = ((upto - first) * ((LEVELS - 1) / rest.clamp(min=1))).round()
    out = torch.where(rest > 0, level.gather(1, flat), flat.double())
    return out.reshape(x.shape).to(x.dtype)
