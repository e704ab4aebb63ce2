"""Words as dots: a small font, written into images."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

HEIGHT, WIDTH = 7, 6  # dots of a letter, with the gap behind it
# Columns of the letters a to z, the highest dot in the lowest bit.
FONT = """
2054545478 7F48444438 3844444420 384444487F 3854545418 087E090102 0C5252523E 7F08040478 00447D4000
2040443D00 7F10284400 00417F4000 7C04180478 7C08040478 3844444438 7C14141408 081414187C 7C08040408
4854545420 043F444020 3C4040207C 1C2040201C 3C4030403C 4428102844 0C5050503C 4464544C44
"""


@cache
def letters() -> Tensor:
    """`(27, 7, 6)` bool: the dots of a to z, and of nothing."""
    columns = torch.tensor([list(bytes.fromhex(word)) for word in FONT.split()])
    dots = (columns[:, None] >> torch.arange(HEIGHT)[:, None]) & 1
    found = torch.zeros(27, HEIGHT, WIDTH, dtype=torch.bool)
    found[:26, :, :5] = dots.bool()
    return found


def written(
    kinds: Tensor, length: Tensor, place: Tensor, dot: float, size: tuple[int, int]
) -> Tensor:
    """`(B, 1, H, W)` bool: where one word per image has ink.

    Args:
        kinds: `(B, L)` letters, 0 to 25.
        length: `(B,)` how many of them are written.
        place: `(B, 2)` of the word's upper left corner, as shares of the room that it has.
        dot: side of a dot, in pixels.
        size: of the images.
    """
    count = kinds.shape[1]
    shown = torch.where(torch.arange(count, device=kinds.device) < length[:, None], kinds, 26)
    strip = letters().to(kinds.device)[shown].movedim(1, 2).flatten(2)  # (B, 7, 6 L)
    ends = torch.stack([torch.full_like(place[:, 0], HEIGHT), length.to(place) * WIDTH], 1) * dot
    room = (torch.tensor(size, device=place.device).to(place) - ends).clamp(min=0)
    start = place * room
    i, j = (
        ((torch.arange(n, device=place.device) - start[:, d : d + 1]) / dot).floor().long()
        for d, n in enumerate(size)
    )
    inside = ((i >= 0) & (i < HEIGHT))[:, :, None] & ((j >= 0) & (j < count * WIDTH))[:, None]
    rows = torch.arange(len(kinds), device=kinds.device)[:, None, None]
    dots = strip[rows, i.clamp(0, HEIGHT - 1)[:, :, None], j.clamp(0, count * WIDTH - 1)[:, None]]
    return (dots & inside)[:, None]
