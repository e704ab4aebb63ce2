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
    step, even = torch.tensor([-1.0, 0.0, 1.0]).to(x), torch.tensor([1.0, 2.0, 1.0]).to(x)
    kernel = torch.stack([step[:, None] * even, even[:, None] * step])[:, None]
    down, right = F.conv2d(big, kernel).unbind(1)
    return down[:, None], right[:, None]


def _ridges(size: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Bool: where a slope is not less than its two neighbours along it, read between pixels."""
    big = F.pad(size, (1, 1, 1, 1))
    height, width = size.shape[2:]

    def at(i: int, j: int) -> Tensor:
        return big[:, :, 1 + i : 1 + i + height, 1 + j : 1 + j + width]

    steep = down.abs() >= right.abs()
    same = (down >= 0) & (right >= 0) | (down <= 0) & (right <= 0)
    w = torch.minimum(down.abs(), right.abs()) / torch.maximum(down.abs(), right.abs()).clamp(
        min=1e-300
    )
    top = torch.ones_like(steep)
    for sign in (1, -1):
        straight = torch.where(steep, at(sign, 0), at(0, sign))
        slanted = torch.where(same, at(sign, sign), at(sign, -sign))
        slanted = torch.where(same | steep, slanted, at(-sign, sign))
        top &= slanted * w + straight * (1 - w) <= size
    return top


def joined(strong: Tensor, weak: Tensor) -> Tensor:
    """Bool `(B, 1, H, W)`: weak pixels with a chain of weak neighbours (of eight) to a strong one.

    From the strong ones the weak neighbours are reached, from these theirs, until none is new.

    Cost: nine look-ups per weak pixel; one round per pixel of the longest chain.
    """
    rim = F.pad(weak, (1, 1, 1, 1))
    width = rim.shape[-1]
    flat = rim.flatten()
    place = flat.nonzero()[:, 0]
    number = torch.arange(len(place), device=weak.device)
    at = torch.zeros(len(flat), dtype=torch.int64, device=weak.device)
    at[place] = number
    steps = torch.tensor([i * width + j for i in (-1, 0, 1) for j in (-1, 0, 1)]).to(weak.device)
    near = place[:, None] + steps
    near = torch.where(flat[near], at[near], number[:, None])
    reached = F.pad(strong, (1, 1, 1, 1)).flatten()[place]
    front = reached.nonzero()[:, 0]
    while len(front):
        fresh = torch.zeros_like(reached)
        fresh[near[front]] = True
        fresh &= ~reached
        reached |= fresh
        front = fresh.nonzero()[:, 0]
    out = torch.zeros_like(flat)
    out[place] = reached
    return out.view(rim.shape)[..., 1:-1, 1:-1]


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
    inner = F.pad(torch.ones_like(size)[:, :, 2:, 2:], (1, 1, 1, 1)) if min(x.shape[2:]) > 1 else 0
    edge = _ridges(size, down, right) & (size > 0) & (size * inner > 0)
    return joined(edge & (size >= high), edge & (size >= low))


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

    Cost: `4 most + 2` comparisons per pixel.
    """
    far = most**2
    square = torch.where(edges, 0, far).int()
    for dim in (2, 3):
        pad = (0, 0, most, most) if dim == 2 else (most, most)
        big, n = F.pad(square, pad, value=far), square.shape[dim]
        room = torch.empty_like(square)
        for i in range(-most, most + 1):
            torch.add(big.narrow(dim, most + i, n), i * i, out=room)
            torch.minimum(square, room, out=square)
    return square.clamp_(max=far).sqrt()


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
