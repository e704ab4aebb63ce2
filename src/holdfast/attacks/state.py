"""What belongs to each open row during a descent, and Adam's step for it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass
class State:
    """Tensors whose first axis is the row; subclasses name them."""

    def take(self, stay: Tensor) -> None:
        """Keep some rows."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name)[stay])


def adam(
    point: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, *, step: int, rate: float
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of Adam downhill, number by number, so that rows do not mix.

    Args:
        point: `(A, ...)` where it stands.
        gradient: of what is minimised, at the point.
        mean: running mean of the gradients, 0 before the first step.
        square: running mean of their squares.
        step: how many steps went before.
        rate: length of the step.

    Returns:
        The next point, and the two running means.
    """
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient.square()
    way, size = mean / (1 - 0.9 ** (step + 1)), square / (1 - 0.999 ** (step + 1))
    return point - rate * way / (size.sqrt() + 1e-8), mean, square
