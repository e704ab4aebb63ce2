"""What an additive threat asks of the same inputs in every step of an attack, computed once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from holdfast.ops.batch import select

Walls = tuple[Tensor, Tensor] | tuple[float, float]


@dataclass(frozen=True, eq=False)
class Standing:
    """Where some inputs stand in their box.

    Args:
        x: `(B, ...)` the inputs: what is kept holds for this very tensor and no other.
        walls: least and largest values that the changed inputs may take.
        room: how far each coordinate may go down (<= 0) and up (>= 0).
    """

    x: Tensor
    walls: Walls
    room: tuple[Tensor, Tensor]

    def knows(self, x: Tensor, change: Tensor) -> bool:
        """Whether what is kept is what would be computed for a change of these inputs."""
        return x is self.x and change.dtype == x.dtype

    def take(self, rows: Tensor | slice, x: Tensor) -> Standing:
        """The same for some of the rows, which are `x`."""
        low, high = self.walls
        if isinstance(low, Tensor) and isinstance(high, Tensor):
            return Standing(x, _pair(low, high, rows), _pair(*self.room, rows))
        return Standing(x, self.walls, _pair(*self.room, rows))


def _pair(a: Tensor, b: Tensor, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
    """The rows of two tensors."""
    return (a[rows], b[rows]) if isinstance(rows, slice) else (select(a, rows), select(b, rows))


def walls(x: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Least and largest values of each coordinate of the changed inputs.

    They are the box, but a coordinate that lies outside may stay where it is.
    """
    return x.clamp(max=low), x.clamp(min=high)


def shared_walls(x: Tensor, low: float, high: float) -> Walls:
    """The same: two numbers where all inputs lie in the box. Cost: the host waits for the device"""
    if bool(((x >= low) & (x <= high)).all()):
        return low, high
    return walls(x, low, high)
