"""Models that are linear in what they learn: random features and tangents of a net at its start."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from holdfast.core.errors import ShapeError
from holdfast.core.ranges import inside, one_of

Bend = Literal["relu", "tanh"]
M = TypeVar("M", bound="Features")
RIDGE = 1e-10


class Features(nn.Module):
    """`f(x) = features(x) . theta` with random features that are never trained.

    Args:
        size: of an input.
        count: of random directions.
        bend: `relu` or `tanh`, what is applied to each direction.
        seed: of the directions, normal with variance `1 / size`.
    """

    def __init__(self, size: int, count: int, *, bend: Bend = "relu", seed: int = 0) -> None:
        super().__init__()
        inside("[1, inf]", "Features", size=size, count=count)
        one_of(("relu", "tanh"), "Features", bend=bend)
        self.size, self.count, self.bend, self.seed = size, count, bend, seed
        g = torch.Generator().manual_seed(seed)
        drawn = torch.randn(count, size, generator=g, dtype=torch.float64) / size**0.5
        self.register_buffer("directions", drawn)
        self.register_buffer("theta", torch.zeros(self.shape, dtype=torch.float64))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is learnt."""
        return (self.count,)

    def bent(self, x: Tensor) -> Tensor:
        """`(B, count)`: each direction, bent."""
        z: Tensor = x.double() @ self.directions.T  # type: ignore[operator]
        return torch.relu(z) if self.bend == "relu" else torch.tanh(z)

    def kernel(self, x: Tensor) -> Tensor:
        """`(n, n)`: inner products of the features."""
        b = self.bent(x)
        return b @ b.T

    def combined(self, x: Tensor, alpha: Tensor) -> Tensor:
        """What is learnt, as the sum of the features of rows, weighted by alpha."""
        return alpha @ self.bent(x)

    def fitted(self: M, x: Tensor, y: Tensor) -> M:
        """The same features with the shortest theta that fits the labels.

        It is where gradient descent from zero ends.

        Args:
            x: `(n, size)`.
            y: `(n,)` numbers.

        Raises:
            ShapeError: if x has another size.
        """
        if x.dim() != 2 or x.shape[1] != self.size:
            raise ShapeError(
                f"Features: needs rows of {self.size} numbers, got {tuple(x.shape)}",
                fix=f"Give rows as a tensor (B, {self.size}).",
            )
        wide, made = x.double(), type(self)(self.size, self.count, bend=self.bend, seed=self.seed)
        k = self.kernel(wide)
        ridge = RIDGE * torch.eye(len(wide), dtype=k.dtype)
        made.theta.copy_(self.combined(wide, torch.linalg.solve(k + ridge, y.double())))  # type: ignore[operator]
        return made

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 1)`."""
        out: Tensor = (self.bent(x) @ self.theta)[:, None]  # type: ignore[operator]
        return out


class RandomFeatures(Features):
    """`f(x) = bend(V x) . theta`: a net of one hidden layer of which only the last is trained."""


class TangentFeatures(Features):
    """`f(x) = sum_i bend(w_i . x) (theta_i . x)`: a net of one hidden layer near its start.

    `bend` is the derivative of its activation: `tanh` belongs to an even one, log cosh, whose
    features have mean zero.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is learnt."""
        return (self.count, self.size)

    def kernel(self, x: Tensor) -> Tensor:
        """`(n, n)`: inner products of the features."""
        return super().kernel(x) * (x @ x.T)

    def combined(self, x: Tensor, alpha: Tensor) -> Tensor:
        """What is learnt, as the sum of the features of rows, weighted by alpha."""
        return (self.bent(x) * alpha[:, None]).T @ x

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 1)`."""
        out: Tensor = (self.bent(x) * (x.double() @ self.theta.T)).sum(1, keepdim=True)  # type: ignore[operator]
        return out
