"""Where a rectangle may lie in an image, and how it is laid there."""

from __future__ import annotations

import torch
from torch import Tensor


def _cover(place: Tensor, pixels: int, length: int) -> Tensor:
    """`(B, pixels, length)`: share of patch line a that falls on pixel i for a patch at `place`.

    It is the hat function of i - place - a: a single 1 per line at a whole place, and shared by
    two neighbours, differentiably, between two of them.
    """
    i = torch.arange(pixels, device=place.device, dtype=place.dtype)[None, :, None]
    a = torch.arange(length, device=place.device, dtype=place.dtype)[None, None, :]
    return (1 - (i - a - place[:, None, None]).abs()).clamp(min=0)


def laid(x: Tensor, content: Tensor, place: Tensor, opacity: Tensor) -> Tensor:
    """The image with a rectangle laid on it.

    Args:
        x: `(B, C, H, W)` images.
        content: `(B, C, h, w)` of the rectangle.
        place: `(B, 2)` row and column of its corner, in pixels or fractions of them.
        opacity: `(B, 1, 1, 1)`; 0 leaves the image.
    """
    rows = _cover(place[:, 0], x.shape[2], content.shape[2])[:, None]
    columns = _cover(place[:, 1], x.shape[3], content.shape[3])[:, None]
    spread = rows @ content @ columns.transpose(2, 3)
    mask = rows.sum(3, keepdim=True) * columns.sum(3, keepdim=True).transpose(2, 3)
    return x + opacity * (spread - mask * x)


def beside(
    ways: tuple[int, int],
    sides: tuple[int, int],
    clear: tuple[int, int, int, int] | None,
    device: torch.device,
) -> Tensor:
    """`(rows, columns)` bool: at which corners a rectangle touches no pixel of another one.

    Args:
        ways: how many pixels the corner may move down and to the right.
        sides: height and width.
        clear: top row, left column, height and width of the other one; None or empty: anywhere.
        device: of the result.
    """
    rows, columns = (torch.arange(n + 1, device=device) for n in ways)
    top, left, tall, wide = clear or (0, 0, 0, 0)
    if not tall or not wide:
        return torch.ones(len(rows), len(columns), dtype=torch.bool, device=device)
    beside_rows = (rows + sides[0] <= top) | (rows >= top + tall)
    beside_columns = (columns + sides[1] <= left) | (columns >= left + wide)
    return beside_rows[:, None] | beside_columns[None, :]


def nearest(place: Tensor, allowed: Tensor, ways: tuple[int, int]) -> Tensor:
    """`(B, 2)`: the nearest places, in shares of the ways, that round to an allowed corner.

    Every allowed corner stands for the places that round to it; the nearest of all these is taken.

    Args:
        place: `(B, 2)` wanted, in shares of the ways.
        allowed: `(rows, columns)` bool, at least one.
        ways: how many pixels the corner may move down and to the right.
    """
    reach, cells = place.new_tensor(ways).clamp(min=1), allowed.nonzero().to(place)
    near = torch.clamp(place[:, None], (cells - 0.499) / reach, (cells + 0.499) / reach)
    near = near.clamp(0, 1)
    best = (near - place[:, None]).square().sum(2).argmin(1)
    return near[torch.arange(len(place), device=place.device), best]
