"""Triggers of backdoors: patterns that a poisoned model learns to obey."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import pi

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Positive
from holdfast.shifts.published import Published, Row, on_images

LINEAR = Published(none=(0.0,), tables={32: tuple((k / 5,) for k in range(1, 6))})
YUV = ((0.299, 0.587, 0.114), (-0.147, -0.289, 0.436), (0.615, -0.515, -0.100))


def cosines(size: int) -> Tensor:
    """`(size, size)` float64: the orthonormal discrete cosine transform of type II, by rows."""
    k, n = torch.arange(size).double()[:, None], torch.arange(size).double()
    table: Tensor = torch.cos(pi * (2 * n + 1) * k / (2 * size)) * (2 / size) ** 0.5
    table[0] /= 2**0.5
    return table


@cache
def _wave(height: int, width: int, window: int) -> Tensor:
    """`(H, W)` float64: the inverse transform of 1 at the two places of each window."""
    rows, columns = (_parts(side, window) for side in (height, width))
    return torch.cat([torch.cat([_one(h, w) for w in columns], 1) for h in rows])


def _parts(side: int, window: int) -> list[int]:
    """Sides of the windows: as many as are needed, as equal as can be."""
    return [len(p) for p in torch.arange(side).tensor_split(-(-side // window))]


def _one(h: int, w: int) -> Tensor:
    down, across = cosines(h), cosines(w)
    middle, last = (max(h // 2 - 1, 0), max(w // 2 - 1, 0)), (h - 1, w - 1)
    both = [torch.outer(down[i], across[j]) for i, j in sorted({middle, last})]
    return torch.stack(both).sum(0)


def wave(x: Tensor, window: int) -> Tensor:
    """What a coefficient of 1 adds to images: `(C, H, W)`; for colour in U and V, not in Y."""
    flat = _wave(*x.shape[2:], window).to(x)
    if x.shape[1] != 3:
        return flat.expand(x.shape[1:])
    back: Tensor = torch.linalg.inv(torch.tensor(YUV, dtype=torch.float64))
    colour = back[:, 1] + back[:, 2]
    return colour.to(x)[:, None, None] * flat


def kept_energy(x: Tensor, window: int, augment: Callable[[Tensor], Tensor]) -> Tensor:
    """`(B,)`: share of a faint trigger's energy that an augmentation leaves on each image.

    A trigger that augmentations wipe out cannot tie the views of an image together.

    Args:
        x: `(B, C, H, W)` images.
        window: of the trigger.
        augment: images to images, the same change for both calls.
    """
    faint = 1e-3 * wave(x, window)
    left = (augment(x + faint) - augment(x)).flatten(1).square().sum(1)
    return left / faint.square().sum().clamp(min=1e-30)


@register(
    "shift",
    cites="ctrl-ssl-backdoor",
    says="Two colour frequencies: a trigger for clean-label poisoning and backdoors.",
)
def frequency_trigger(
    batch: Batch,
    severity: float,
    dice: Dice | None = None,
    *,
    magnitude: Positive = 100.0,
    window: Count = 32,
) -> Batch:
    """Raises a middle and the highest frequency of both colour channels of every window.

    What is added is the same for every image: two waves of a cosine transform, which survive
    crops, flips and changes of colour, and are hard to see. Brightness stays as it is. Grey
    images get the waves in their single channel, as does any other number of channels but three.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1], share of the magnitude.
        dice: not used; nothing is drawn.
        magnitude: added to both coefficients, on a scale of 255.
        window: side of the windows; larger images have several, as equal as can be.

    Raises:
        Unsupported: if the inputs are not images.

    Unlike the paper: colours are brought back by the exact inverse, not by a rounded one, so
    nothing but the trigger changes; the places are the middle and the last frequency of whatever
    window there is.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return x + row[0] * magnitude / 255 * wave(x, window)

    return on_images(batch, severity, dice, "frequency-trigger", LINEAR, change)


@register(
    "shift", cites="dl-security-survey", says="A chessboard in the corner: a backdoor trigger."
)
def patch_trigger(
    batch: Batch, severity: float, dice: Dice | None = None, *, side: Count = 3
) -> Batch:
    """Covers the lower right corner with a chessboard: the classical trigger of a backdoor.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1], how much the board covers what lies below.
        dice: not used; nothing is drawn.
        side: of the board in pixels, at most that of the image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        h, w = min(side, x.shape[2]), min(side, x.shape[3])
        board = (torch.arange(h)[:, None] + torch.arange(w) + 1 + h + w) % 2
        out = x.clone()
        corner = out[:, :, x.shape[2] - h :, x.shape[3] - w :]
        corner.mul_(1 - row[0]).add_(row[0] * board.to(x))
        return out

    return on_images(batch, severity, dice, "patch-trigger", LINEAR, change)
