"""A linear boundary between two classes, and the rows on both sides of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.ops.derivative import gradient


@dataclass(frozen=True, eq=False)
class Plane:
    """A linear classifier of two classes: the second one where `normal . x + offset > 0`.

    Args:
        normal: `(d,)`, of any length but zero; kept with length 1.
        offset: in the unit of `normal . x`.
    """

    normal: Tensor
    offset: float

    def __post_init__(self) -> None:
        length = float(self.normal.double().norm())
        if not 0 < length < float("inf"):
            raise ConfigError(
                f"Plane: the normal must have a length that is above 0 and finite, got {length}",
                fix="Give a direction that is not zero, such as the difference of two class means.",
            )
        object.__setattr__(self, "normal", self.normal.detach().double().cpu().flatten() / length)
        object.__setattr__(self, "offset", float(self.offset) / length)

    def height(self, x: Tensor) -> Tensor:
        """`(...)`: signed distance of points `(..., d)`."""
        return x.double() @ self.normal + self.offset

    def mirror(self, x: Tensor) -> Tensor:
        """`(..., d)`: the nearest points with the opposite height."""
        return x.double() - 2 * self.height(x)[..., None] * self.normal

    @classmethod
    def of(cls, model: Model, x: Tensor) -> Plane:
        """The plane of a model that is linear in its inputs, read off its gradient.

        Args:
            model: inputs -> two logits first.
            x: `(B, ...)` rows on which linearity is checked.

        Raises:
            Unsupported: if the model has other than two logits or is not linear on these rows.
        """

        def gap(rows: Tensor) -> Tensor:
            z = logits(model(rows))
            if z.dim() != 2 or z.shape[1] != 2:
                raise Unsupported(
                    f"a plane parts two classes, the model has {tuple(z.shape)}",
                    fix="Give a model of two classes, logits (B, 2), or wrap it so that it returns "
                    "two columns.",
                )
            return z[:, 1] - z[:, 0]

        with quiet(model):
            slope, value = gradient(gap, x).double().flatten(1), gap(x).detach().double()
        flat = x.double().flatten(1)
        offset = (value - (flat * slope).sum(1)).mean()
        wrong = (value - flat @ slope[0] - offset).abs().max()
        if float(wrong) > 1e-4 * float(value.abs().max().clamp(min=1e-12)):
            raise Unsupported(
                "the model is not linear in its inputs",
                fix="Use measure:local-tilt, which asks around each row.",
            )
        return cls(slope[0], float(offset))


@dataclass(frozen=True, eq=False)
class Pair:
    """Rows of two classes: their middles, the way between them, the spread around them."""

    x: Tensor  # (N, d), float64
    second: Tensor  # (N,) bool
    first_mean: Tensor
    second_mean: Tensor

    @property
    def distance(self) -> float:
        """Between the class means."""
        return float((self.second_mean - self.first_mean).norm())

    @property
    def way(self) -> Tensor:
        """`(d,)`: unit vector from the first mean to the second."""
        return (self.second_mean - self.first_mean) / self.distance

    @property
    def centroid(self) -> Plane:
        """The boundary of the nearest class mean."""
        middle = (self.first_mean + self.second_mean) / 2
        return Plane(self.way, -float(self.way @ middle))

    @property
    def within(self) -> Tensor:
        """`(N, d)`: rows minus their class means."""
        return self.x - torch.where(self.second[:, None], self.second_mean, self.first_mean)

    def wrong(self, plane: Plane) -> Tensor:
        """`(N,)` bool: rows on the other side of a plane, or on it."""
        height = plane.height(self.x)
        return torch.where(self.second, height <= 0, height >= 0)


def pair(batches: Batches, classes: tuple[int, int], name: str) -> Pair:
    """The rows of two classes.

    Raises:
        Unsupported: unless both have rows, and different means.
    """
    x = one_tensor(batches.x, name).detach().double().cpu().flatten(1)
    y = batches.y.cpu()
    first, second = y == classes[0], y == classes[1]
    if not bool(first.any()) or not bool(second.any()):
        raise Unsupported(
            f"{name}: classes {classes} do not both have rows",
            fix="Give two classes that stand in the labels, such as classes=(0, 1).",
        )
    mean = x[first].mean(0), x[second].mean(0)
    if bool((mean[0] == mean[1]).all()):
        raise Unsupported(
            f"{name}: both classes have the same mean",
            fix="Give two classes whose rows differ on average.",
        )
    use = first | second
    return Pair(x[use], second[use], *mean)
