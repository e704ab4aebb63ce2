"""What additive changes have in common: x + change, kept within [low, high]."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.kinds import Threat
from holdfast.ops.batch import fit
from holdfast.ops.geometry import norm, room
from holdfast.threats.number import box, ordered, read, shown

A = TypeVar("A", bound="Additive")


def in_radii(lengths: Tensor, radius: float) -> Tensor:
    """Lengths divided by the radius; 0 of 0 is 0, anything else of 0 is infinite."""
    if radius > 0:
        return lengths / radius
    return torch.where(lengths == 0, 0.0, torch.inf).to(lengths.dtype)


def within(y: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """`y` clamped; the gradient passes as if it were not, so that no coordinate sticks."""
    cut = torch.clamp(y, low, high)  # type: ignore[arg-type]
    return cut.detach() + (y - y.detach()) if y.requires_grad else cut


def continuous(x: Tensor, threat: Threat) -> Tensor:
    """The inputs, if they can be changed by any amount.

    Raises:
        Unsupported: for whole numbers, which a change would round away.
    """
    if not x.is_floating_point():
        raise Unsupported(
            f"{threat.spec}: inputs are {x.dtype}, and changes of them are not whole numbers",
            fix="Pass x.float() / 255 for images, or a threat on tokens (substitutions:2:1000).",
        )
    return x


class Additive(Threat):
    """Changes that are added to the input, of bounded length, within the box [low, high].

    What their length is, is said by `order`: the p of a p-norm, or 0 where changed positions are
    counted. An input that already lies outside of the box may stay where it is but go no further.
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
    def parsed(cls, words: list[str], text: str) -> Additive:
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
        return torch.zeros_like(continuous(x, self))

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return within(x + change, x.clamp(max=self.low), x.clamp(min=self.high))

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        down, up = room(x, self.low, self.high)
        slack = max(1e-6, 4 * torch.finfo(x.dtype).eps) * x.abs().clamp(min=1)
        outside = ((change < down - slack) | (change > up + slack)).flatten(1).any(1)
        return in_radii(self.length(change), self.radius).masked_fill(outside, torch.inf)

    @abstractmethod
    def length(self, change: Tensor) -> Tensor:
        """`(B,)`: length of each change in the unit of the radius, wherever the box ends."""

    def scaled(self: A, factor: float) -> A:
        return replace(self, radius=self.radius * factor)  # type: ignore[type-var]

    def _radii(self, x: Tensor) -> Tensor:
        kind = torch.float32 if x.device.type == "mps" else torch.float64
        return torch.full((len(x),), self.radius, dtype=kind, device=x.device)


class Ball(Additive):
    """A norm ball around each input, cut by the box [low, high] of valid inputs."""

    def length(self, change: Tensor) -> Tensor:
        return norm(change, self.order)


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
    return block(x, share, dice)[0]


def block(x: Tensor, share: float, dice: Dice) -> tuple[Tensor, Tensor]:
    """A random block as in `window`, and the rings around its middle.

    Returns:
        `(B, ...)` bool, and `(B, ...)` whole distances from the middle pixel of the block along
        the axis on which they are larger; 0 for flat rows.
    """
    sides = x.shape[2:]
    ring = torch.zeros((len(x), 1, *sides) if sides else x.shape, dtype=torch.int64).to(x.device)
    if not sides:
        draw = dice.uniform(x.shape[1:], device=x.device)
        least = torch.clamp(draw.flatten(1).amin(1), min=share)
        return draw <= least.reshape(-1, *[1] * (x.dim() - 1)), ring
    edge = share ** (1 / len(sides))
    corner = dice.uniform((len(sides),), device=x.device)
    mask = torch.ones((len(x), 1, *sides), dtype=torch.bool, device=x.device)
    for axis, side in enumerate(sides):
        length = min(side, max(1, round(edge * side)))
        start = (corner[:, axis] * (side - length + 1)).floor()
        place = torch.arange(side, device=x.device) - start[:, None]
        form = (len(x), 1, *[1] * axis, side, *[1] * (len(sides) - axis - 1))
        mask = mask & ((place >= 0) & (place < length)).reshape(form)
        ring = torch.maximum(ring, (place - (length - 1) / 2).abs().long().reshape(form))
    return mask.expand(x.shape), ring.expand(x.shape)


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
