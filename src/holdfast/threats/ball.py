"""What additive changes have in common: x + change, kept within [low, high]."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.kinds import Threat
from holdfast.ops.batch import fit
from holdfast.ops.geometry import norm, room
from holdfast.threats.number import box, ordered, read, shown

B = TypeVar("B", bound="Ball")


def in_radii(lengths: Tensor, radius: float) -> Tensor:
    """Lengths divided by the radius; 0 of 0 is 0, anything else of 0 is infinite."""
    if radius > 0:
        return lengths / radius
    return torch.where(lengths == 0, 0.0, torch.inf).to(lengths.dtype)


def within(y: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """`y` clamped; the gradient passes as if it were not, so that no coordinate sticks."""
    cut = torch.clamp(y, low, high)  # type: ignore[arg-type]
    return cut.detach() + (y - y.detach()) if y.requires_grad else cut


class Ball(Threat):
    """A norm ball around each input, cut by the box [low, high] of valid inputs.

    An input that already lies outside of the box may stay where it is but go no further.
    """

    name: ClassVar[str]
    order: ClassVar[float]
    radius: float

    def __post_init__(self) -> None:
        ordered(self.low, self.high)

    @property
    def spec(self) -> str:
        return f"{self.name}:{shown(self.radius)}{box(self.low, self.high)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Ball:
        """From the words behind the name: the radius, then the box if it is not [0, 1]."""
        if len(words) not in (1, 2) or (len(words) == 2 and ".." not in words[1]):
            raise ConfigError(
                f"threat {text!r}: {cls.name} takes a radius and an optional range",
                fix=f"Write {cls.name}:0.5 or {cls.name}:0.5:-1..1.",
                code="E0140",
            )
        ends = words[1].split("..") if len(words) == 2 else ["0", "1"]
        values = [read(word, text) for word in (words[0], *ends)]
        return cls(radius=values[0], low=values[1], high=values[2])  # type: ignore[call-arg]

    def none(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return within(x + change, x.clamp(max=self.low), x.clamp(min=self.high))

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        down, up = room(x, self.low, self.high)
        slack = max(1e-6, 4 * torch.finfo(x.dtype).eps) * x.abs().clamp(min=1)
        outside = ((change < down - slack) | (change > up + slack)).flatten(1).any(1)
        return in_radii(norm(change, self.order), self.radius).masked_fill(outside, torch.inf)

    def scaled(self: B, factor: float) -> B:
        return replace(self, radius=self.radius * factor)  # type: ignore[type-var]

    def _radii(self, x: Tensor) -> Tensor:
        kind = torch.float32 if x.device.type == "mps" else torch.float64
        return torch.full((len(x),), self.radius, dtype=kind, device=x.device)


class Curved(Ball):
    """A ball that is not a box itself: where box and ball meet must be computed."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        down, up = room(x, self.low, self.high)
        clean = torch.nan_to_num(change, nan=0.0)
        return self._nearest(clean, self._radii(x), down, up)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        down, up = room(x, self.low, self.high)
        clean = torch.nan_to_num(gradient, nan=0.0)
        return self._steepest(
            clean, self._radii(x), (down - change).clamp(max=0), (up - change).clamp(min=0)
        )

    @abstractmethod
    def _nearest(self, change: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor: ...

    @abstractmethod
    def _steepest(self, gradient: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor: ...


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
        return draw <= torch.clamp(draw.flatten(1).amin(1), min=share).reshape(
            -1, *[1] * (x.dim() - 1)
        )
    edge = share ** (1 / len(sides))
    corner = dice.uniform((len(sides),), device=x.device)
    mask = torch.ones((len(x), 1, *sides), dtype=torch.bool, device=x.device)
    for axis, side in enumerate(sides):
        length = min(side, max(1, round(edge * side)))
        start = (corner[:, axis] * (side - length + 1)).floor()
        place = torch.arange(side, device=x.device)
        hit = (place >= start[:, None]) & (place < start[:, None] + length)
        mask = mask & hit.reshape(len(x), 1, *[1] * axis, side, *[1] * (len(sides) - axis - 1))
    return mask.expand(x.shape)


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

    Args:
        x: inputs.
        change: current changes.
        share: share of the coordinates per block.
        order: 1 or 2: the norm whose radius is the budget.
        radius: `(B,)`.
        dice: row draws.
        gradient: optional guide for the signs of the new block.
    """
    into, out_of = window(x, share, dice), window(x, share, dice)
    way = signs(x, dice, gradient) * into
    kept = change.masked_fill(into | out_of, 0.0)
    r = radius.to(torch.float64 if x.device.type != "mps" else torch.float32)
    budget = (r**order - norm(kept, order).to(r) ** order).clamp(min=0) ** (1 / order)
    unit = norm(way, order).to(r).clamp(min=torch.finfo(torch.float32).tiny)
    return kept + way * fit((budget / unit).to(x.dtype), x)
