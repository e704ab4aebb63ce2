"""What transfer attacks look at in place of the input, and how they blur its gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported


def _lines(side: int, size: Tensor, start: Tensor) -> Tensor:
    """`(B, side, side)`: the linear map that shrinks a line to `size` and lays it at `start`.

    Row i holds the weights of bilinear interpolation (pixel centres, ends held), or zeros where
    nothing is laid. With size `side` and start 0 it is the identity.
    """
    i = torch.arange(side, device=size.device, dtype=torch.float64)
    place = i - start[:, None]
    covered = (place >= 0) & (place < size[:, None])
    seen = ((place + 0.5) * side / size[:, None] - 0.5).clamp(0, side - 1)
    weights = (1 - (seen[:, :, None] - i).abs()).clamp(min=0)
    return weights * covered[:, :, None]


def shrunk(z: Tensor, chance: float, least: float, dice: Dice) -> Tensor:
    """Diverse inputs: with some chance a row is shrunk and laid on black at a random place.

    Per row, all sides shrink by one random factor to whole pixels; the result keeps its form and
    is a linear function of the input.

    Args:
        z: `(B, C, H, W)` images or `(B, C, L)` signals.
        chance: that a row is changed.
        least: smallest share of a side that is left, in (0, 1].
        dice: draws of the B rows.

    Raises:
        Unsupported: for flat rows, which have no sides.
    """
    if z.dim() < 3:
        raise Unsupported(
            f"diverse inputs shrink images or signals; rows of shape {tuple(z.shape[1:])} have"
            " no sides",
            fix="Set diversity=0.",
        )
    draw = dice.uniform((4,), device=z.device, dtype=torch.float64)
    on = draw[:, 0] < chance
    for axis, side in enumerate(z.shape[2:]):
        low = max(1, int(least * side))
        size = (low + draw[:, 1] * (side - low + 1)).floor()
        start = (draw[:, 2 + axis % 2] * (side - size + 1)).floor()
        size, start = torch.where(on, size, side), torch.where(on, start, 0.0)
        lines = _lines(side, size, start).to(z.dtype)
        lines = lines.reshape(len(z), *[1] * (z.dim() - 3), side, side)
        z = (lines @ z.movedim(2 + axis, -2)).movedim(-2, 2 + axis)
    return z


class Copy:
    """A copy of the inputs: mixed with others, darker, shrunk.

    Args:
        extra: `(B, ...)` what is added; nothing if None.
        scale: what that is multiplied by.
        diversity: chance that a row is shrunk, as in `shrunk`.
        least: smallest share of a side that shrinking leaves.
        dice: draws of the B rows.
    """

    plain: Tensor  # (B,) bool: rows of the last inputs that were passed on as they are

    def __init__(
        self, extra: Tensor | None, scale: float, diversity: float, least: float, dice: Dice
    ) -> None:
        self.extra, self.scale, self.dice = extra, scale, dice
        self.diversity, self.least = diversity, least

    def __call__(self, z: Tensor) -> Tensor:
        seen = z if self.extra is None else z + self.extra
        seen = seen if self.scale == 1 else seen * self.scale
        if self.diversity:
            seen = shrunk(seen, self.diversity, self.least, self.dice)
        self.plain = (seen == z).detach().flatten(1).all(1)
        return seen


def blurred(gradient: Tensor, size: int, spread: float) -> Tensor:
    """A gradient smoothed by a Gaussian window, each channel by itself, zero outside.

    The weights sum to 1; a window of one pixel changes nothing.

    Args:
        gradient: `(B, C, H, W)` or `(B, C, L)`.
        size: side of the window in pixels, odd.
        spread: standard deviation in pixels.

    Raises:
        Unsupported: for an even window, or where there are no neighbours.
    """
    if size <= 1:
        return gradient
    if gradient.dim() < 3 or size % 2 == 0:
        raise Unsupported(
            f"a window of {size} pixels cannot smooth gradients of shape"
            f" {tuple(gradient.shape[1:])}",
            fix="Use an odd window on images or signals, or blur=0.",
        )
    i = torch.arange(size, device=gradient.device, dtype=gradient.dtype) - size // 2
    weights = torch.exp(-i.square() / (2 * spread**2))
    weights = (weights / weights.sum()).reshape(1, 1, size)
    for axis in range(2, gradient.dim()):
        lines = gradient.movedim(axis, -1)
        flat = lines.reshape(-1, 1, lines.shape[-1])
        smooth = F.conv1d(flat, weights, padding=size // 2)
        gradient = smooth.reshape(lines.shape).movedim(-1, axis)
    return gradient


def partners(pool: Tensor, apart: Tensor, count: int, dice: Dice) -> Tensor:
    """`(B, count, ...)`: rows of a pool drawn without replacement, admissible ones first.

    Args:
        pool: `(n, ...)`.
        apart: `(B, n)` bool, which rows of the pool are admissible to which row.
        count: how many are drawn, at most n.
        dice: draws of the B rows.
    """
    height = dice.uniform((len(pool),), device=pool.device, dtype=torch.float64) + apart
    return pool[height.topk(min(count, len(pool)), 1).indices]
