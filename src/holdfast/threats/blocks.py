"""Blocks of an input that random search moves: where they lie, what they hold."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.ops.batch import fit
from holdfast.ops.geometry import norm


def window(x: Tensor, share: float, dice: Dice) -> Tensor:
    """A random block of each input: `(B, ...)` bool, one for all channels.

    Images `(B, C, H, W)` get a square, signals `(B, C, L)` an interval, flat rows `(B, n)` that
    many scattered coordinates; always at least one coordinate.

    Args:
        x: inputs, for their shape.
        share: share of the coordinates that the block covers, in (0, 1].
        dice: row draws.
    """
    sides = x.shape[2:]
    if not sides:
        draw = dice.uniform(x.shape[1:], device=x.device)
        least = torch.clamp(draw.flatten(1).amin(1), min=share)
        return draw <= least.reshape(-1, *[1] * (x.dim() - 1))
    mask = torch.ones((), dtype=torch.bool, device=x.device)
    for place, length in _places(x, share, dice):
        mask = mask & (place >= 0) & (place < length)
    return mask.expand(x.shape)


def block(x: Tensor, share: float, dice: Dice) -> tuple[Tensor, Tensor]:
    """A random block as in `window`, and the rings around its middle.

    Returns:
        `(B, ...)` bool, and `(B, ...)` whole distances from the middle pixel of the block along
        the axis on which they are larger; 0 for flat rows.
    """
    if x.dim() < 3:
        return window(x, share, dice), torch.zeros_like(x, dtype=torch.int64)
    mask, ring = torch.ones((), dtype=torch.bool, device=x.device), torch.zeros((), device=x.device)
    for place, length in _places(x, share, dice):
        mask = mask & (place >= 0) & (place < length)
        ring = torch.maximum(ring, (place - (length - 1) / 2).abs())
    return mask.expand(x.shape), ring.long().expand(x.shape)


def _places(x: Tensor, share: float, dice: Dice) -> Iterator[tuple[Tensor, int]]:
    """Per axis behind the channels: places counted from the block's corner, and its length."""
    sides = x.shape[2:]
    edge = share ** (1 / len(sides))
    corner = dice.uniform((len(sides),), device=x.device)
    for axis, side in enumerate(sides):
        length = min(side, max(1, round(edge * side)))
        start = (corner[:, axis] * (side - length + 1)).floor()
        place = torch.arange(side, device=x.device) - start[:, None]
        yield place.reshape(len(x), 1, *[1] * axis, side, *[1] * (len(sides) - axis - 1)), length


def peak(ring: Tensor, power: float) -> Tensor:
    """A pyramid over rings: the sum of `k ** -power` over all k beyond a ring's number."""
    terms = torch.arange(1.0, max(ring.shape[2:], default=0) // 2 + 2, dtype=torch.float64)
    steps = (terms**-power).flip(0).cumsum(0).flip(0).to(ring.device)
    return steps[ring.clamp(max=len(steps) - 1)]


def signs(x: Tensor, dice: Dice, gradient: Tensor | None) -> Tensor:
    """`(B, ...)` signs to move by: random per channel, or those of a gradient where it is known."""
    channels = x.shape[1:2] if x.dim() > 2 else x.shape[1:]
    draw = dice.integers(2, channels, device=x.device) * 2 - 1
    random = draw.reshape(len(x), *channels, *[1] * (x.dim() - 1 - len(channels))).to(x.dtype)
    return random.expand(x.shape) if gradient is None else gradient.sign()


def moved_mass(
    x: Tensor,
    change: Tensor,
    share: float,
    order: float,
    radius: Tensor,
    dice: Dice,
    gradient: Tensor | None,
) -> Tensor:
    """Empties one random block of a change and spends its budget, and what was left, on another.

    What is spent stands in a pyramid over the block, the steeper the more the norm rewards few
    coordinates: its steps fall with the power 4 of the ring for order 1, 2 for order 2.

    Args:
        x: inputs.
        change: current changes.
        share: share of the coordinates per block.
        order: 1 or 2: the norm whose radius is the budget.
        radius: `(B,)`.
        dice: row draws.
        gradient: optional guide for the signs of the new block.
    """
    (into, ring), out_of = block(x, share, dice), window(x, share, dice)
    way = signs(x, dice, gradient) * into * peak(ring, 4 / order).to(x.dtype)
    kept = change.masked_fill(into | out_of, 0.0)
    r = radius.to(torch.float64 if x.device.type != "mps" else torch.float32)
    budget = (r**order - norm(kept, order).to(r) ** order).clamp(min=0) ** (1 / order)
    unit = norm(way, order).to(r).clamp(min=torch.finfo(torch.float32).tiny)
    return kept + way * fit((budget / unit).to(x.dtype), x)
