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
    width, flat = size.shape[3], size.flatten()
    down, right = (v.flatten().index_select(0, place).double() for v in (down, right))

    def at(away: Tensor | int) -> Tensor:
        return flat.index_select(0, place + away).double()

    steep = down.abs() >= right.abs()
    same = (down >= 0) & (right >= 0) | (down <= 0) & (right <= 0)
    w = torch.minimum(down.abs(), right.abs()) / torch.maximum(down.abs(), right.abs()).clamp(
        min=1e-300
    )
    straight = torch.where(steep, width, 1)
    slanted = torch.where(same, width + 1, torch.where(steep, width - 1, 1 - width))
    sides = (at(sign * slanted) * w + at(sign * straight) * (1 - w) for sign in (1, -1))
    return torch.maximum(*sides) <= at(0)


def joined(place: Tensor, strong: Tensor, shape: torch.Size) -> Tensor:
    """Bool of a shape: places with a chain of neighbours (of eight) among them to a strong one.

    Of those that are not strong, the ones beside a strong one are reached, from these their
    neighbours, until none is new.

    Args:
        place: `(n,)` positions in flat images `(B, 1, H, W)`, none of them on a border.
        strong: `(n,)` bool.
        shape: of the images.

    Cost: eight look-ups per place that is not strong; one round per pixel of the longest chain.
    """
    width, device = shape[3], place.device
    reached = torch.zeros(shape.numel(), dtype=torch.bool, device=device)
    left = torch.zeros_like(reached)
    reached.scatter_(0, place.masked_select(strong), True)
    weak = place.masked_select(~strong)
    left.scatter_(0, weak, True)
    steps = torch.tensor([i * width + j for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j])
    steps, last = steps.to(device), torch.zeros_like(left, dtype=torch.int32)
    beside = reached.index_select(0, (weak[:, None] + steps).flatten()).view(-1, len(steps))
    front = weak.masked_select(beside.any(1))
    while len(front):
        reached.scatter_(0, front, True)
        left.scatter_(0, front, False)
        near = (front[:, None] + steps).flatten()
        near = near.masked_select(left.index_select(0, near))
        number = torch.arange(len(near), device=device, dtype=torch.int32)
        last.scatter_(0, near, number)
        front = near.masked_select(last.index_select(0, near) == number)  # each place once
    return reached.view(shape)


def canny(x: Tensor, sigma: float, low: float, high: float, *, blocks: bool = False) -> Tensor:
    """Edges: ridges of the slope that are steep, or joined to steep ones.

    Smooth by a Gaussian (what lies outside does not count), take Sobel slopes, keep ridges
    above `low` that are joined to one above `high`, never the outermost pixels.

    Args:
        x: `(B, 1, H, W)`; smoothed in float64, and left in its type if nothing is smoothed:
            slopes of levels of eight bits are exact in float32.
        sigma: of the smoothing, in pixels; 0 for none.
        low: slope of an edge that is joined to another.
        high: slope of an edge by itself.
        blocks: whether the slope is the sum of its two parts, not their Euclidean length.

    Returns:
        Bool, of the same shape.
    """
    x = _smoothed_inside(x.double(), sigma) if sigma else x
    down, right = slopes(x)
    size = down.abs().add_(right.abs()) if blocks else torch.hypot(down, right)
    weak = size >= low if low > 0 else size > 0
    for dim in (2, 3):
        for end in (0, -1):
            weak.select(dim, end).fill_(False)
    place = weak.flatten().nonzero()[:, 0]
    place = place.masked_select(_ridges(size, down, right, place))
    return joined(place, size.flatten().index_select(0, place) >= high, size.shape)


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

    Cost: two comparisons per pixel and step of the longest distance.
    """
    far = most**2
    room = torch.int16 if 2 * far <= torch.iinfo(torch.int16).max else torch.int32
    square = _along(edges.logical_not().to(room).mul_(most), most).square_()
    wide, n = F.pad(square, (most, most), value=far), square.shape[3]
    near = torch.empty_like(square)
    for i in range(1, most + 1):
        if i * i >= int(square.amax()):
            break  # nothing that lies further off is nearer
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
    start = torch.arange(len(x), device=x.device, dtype=torch.int32)[:, None] * LEVELS
    flat = (x.flatten(1).int() + start).flatten()
    counts = flat.bincount(minlength=len(x) * LEVELS).view(-1, LEVELS)
    upto = counts.cumsum(1).double()
    first = counts.gather(1, (counts > 0).int().argmax(1, keepdim=True)).double()
    rest = x[0].numel() - first if len(x) else first
    level = ((upto - first) * ((LEVELS - 1) / rest.clamp(min=1))).round()
    own = torch.arange(LEVELS, device=x.device, dtype=level.dtype)
    table = torch.where(rest > 0, level, own).to(x.dtype).flatten()
    return table.index_select(0, flat).view(x.shape)
