"""One normal distribution per class: where syntheses of a class start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ClassGaussians:
    """The mean and a factor of the covariance of each class.

    Args:
        means: `(K, n)`.
        factors: `(K, n, n)` with `factor @ factor.T` the covariance.
        shape: of a row.
    """

    means: Tensor
    factors: Tensor
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> ClassGaussians:
        """Of the rows of each label 0 to K - 1; a class without rows is a point at 0.

        Args:
            x: `(B, ...)`.
            y: `(B,)` labels.
        """
        flat, count = x.flatten(1).double(), int(y.max()) + 1
        means, factors = [], []
        for label in range(count):
            own = flat[y == label]
            mean = own.mean(0) if len(own) else flat.new_zeros(flat.shape[1])
            apart = own - mean
            values, vectors = torch.linalg.eigh(apart.T @ apart / max(len(own) - 1, 1))
            means.append(mean)
            factors.append(vectors * values.clamp(min=0).sqrt())
        return cls(torch.stack(means), torch.stack(factors), tuple(x.shape[1:]))

    def draw(self, y: Tensor, noise: Tensor) -> Tensor:
        """`(B, ...)`: one point per label, from standard normal noise `(B, n)`."""
        moved = (self.factors[y] @ noise.double()[:, :, None]).squeeze(2)
        return (self.means[y] + moved).reshape(-1, *self.shape).to(noise.dtype)
