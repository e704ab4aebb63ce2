"""What additive changes have in common: x + change, kept within [low, high]."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Threat
from holdfast.ops.geometry import norm, room
from holdfast.threats.number import box, number_and_range, ordered, shown
from holdfast.threats.standing import Standing, shared_walls, walls

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
    _standing: ClassVar[Standing | None] = None  # of the inputs it was told of: no field

    def __post_init__(self) -> None:
        ordered(self.low, self.high)

    @property
    def spec(self) -> str:
        return f"{self.name}:{shown(self.radius)}{box(self.low, self.high)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Additive:
        """From the words behind the name: the radius, then the box if it is not [0, 1]."""
        radius, low, high = number_and_range(
            words, text, f"{cls.name} takes a radius and an optional range",
            f"Write {cls.name}:0.5 or {cls.name}:0.5:-1..1.",
        )  # fmt: skip
        return cls(radius=radius, low=low, high=high)  # type: ignore[call-arg]

    def none(self, x: Tensor) -> Tensor:
        return torch.zeros_like(continuous(x, self))

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        kept = self._standing
        if kept is not None and kept.knows(x, change):
            return within(x + change, *kept.walls)
        return within(x + change, *walls(x, self.low, self.high))

    def at(self: A, x: Tensor) -> A:
        """The same threat, which knows what it asks of these very inputs in every step."""
        told = Standing(x, shared_walls(x, self.low, self.high), self._room(x, x.dtype))
        return self._stood(told)

    def staying(self: A, rows: Tensor | slice, x: Tensor) -> A:
        """The same for some of the inputs it knows, which are `x`."""
        taken, kept = self.take(rows), self._standing
        return taken if kept is None else taken._stood(kept.take(rows, x))

    def _stood(self: A, standing: Standing) -> A:
        told = object.__new__(type(self))
        told.__dict__.update(self.__dict__, _standing=standing)
        return told

    def _room(self, x: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
        """How far each coordinate may go down and up, in changes of some type."""
        return room(x, self.low, self.high)

    def _free(self, x: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """The room of a change: as kept for inputs that are known."""
        kept = self._standing
        if kept is not None and kept.knows(x, change):
            return kept.room
        return self._room(x, change.dtype)

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


def at(threat: Threat, x: Tensor) -> Threat:
    """A threat that knows the inputs it is asked about again and again, where that saves it work.

    Its answers are the same numbers, about these inputs and all others.
    """
    return threat.at(x) if isinstance(threat, Additive) else threat


def staying(threat: Threat, rows: Tensor | slice, x: Tensor) -> Threat:
    """The threat of some of the inputs that it knows, which are `x`."""
    return threat.staying(rows, x) if isinstance(threat, Additive) else threat.take(rows)


def adds(threat: Threat) -> bool:
    """Whether the gradient with respect to a change is that with respect to the changed input."""
    kind = type(threat)
    return (
        isinstance(threat, Additive)
        and kind.apply is Additive.apply
        and kind.through is Threat.through
    )


class Ball(Additive):
    """A norm ball around each input, cut by the box [low, high] of valid inputs."""

    def length(self, change: Tensor) -> Tensor:
        return norm(change, self.order)


class Curved(Ball):
    """A ball that is not a box itself: where box and ball meet must be computed."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        down, up = self._free(x, change)
        clean = torch.nan_to_num(change, nan=0.0)
        return self._nearest(clean, self._radii(x), down, up)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        down, up = self._free(x, change)
        clean = torch.nan_to_num(gradient, nan=0.0)
        return self._steepest(
            clean, self._radii(x), (down - change).clamp(max=0), (up - change).clamp(min=0)
        )

    @abstractmethod
    def _nearest(self, change: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor: ...

    @abstractmethod
    def _steepest(self, gradient: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor: ...
