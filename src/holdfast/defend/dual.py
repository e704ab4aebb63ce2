"""Dual smoothing: two halves of the pixels vote apart, each behind noise of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Count, Ingredient, NonNegative, ingredient, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside
from holdfast.defend.smoothed import Smoothed


def half(x: Tensor, side: int) -> Tensor:
    """One half of the positions, as on a chessboard; the others repeat their neighbour.

    Args:
        x: `(B, C, H, W)` images, all channels alike, or `(B, ..., n)` numbers in a line.
        side: 0 for positions (i, j) with i + j even, 1 for the others.

    Returns:
        Of the same shape as x; a function of that half alone.
    """
    if x.shape[-1] < 2:
        raise ShapeError(f"half: rows of {x.shape[-1]} have no neighbour", fix="Use width >= 2.")
    place = torch.arange(x.shape[-1], device=x.device)
    if x.dim() == 4:
        place = place + torch.arange(x.shape[-2], device=x.device)[:, None]
    beside = torch.cat([x[..., 1:2], x[..., :-1]], -1)
    return torch.where(place % 2 == side, x, beside)


@dataclass(frozen=True, eq=False)
class Half:
    """A model that sees one half of the positions of its input.

    Args:
        base: the model.
        side: which half, 0 or 1.
    """

    base: Model
    side: int

    def __call__(self, x: Tensor) -> Outputs:
        """The outputs of the base on the half, filled up to the full shape."""
        return self.base(half(x, self.side))


@dataclass(frozen=True, eq=False)
class DualSmoothed:
    """The classifier `argmax_c P[left(x_L + e) = c] + P[right(x_R + e) = c]`, by sampling.

    The noise of the halves is independent, since no position is in both. What
    `certifier:dual-smoothing` certifies is the limit of infinitely many samples.

    Args:
        left: the model that votes on one half.
        right: the model that votes on the other.
        sigma: standard deviation of the noise, in the unit of the input; 0 gives `left` itself.
        samples: noisy copies per half.
        seed: of the noise.
    """

    left: Model
    right: Model
    sigma: float
    samples: int
    seed: int = 0

    @property
    def sides(self) -> tuple[Smoothed, Smoothed]:
        """The smoothed classifiers of both halves."""
        left, right = Half(self.left, 0), Half(self.right, 1)
        return (
            Smoothed(left, self.sigma, self.samples, self.seed),
            Smoothed(right, self.sigma, self.samples, self.seed),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Logarithm of the mean frequencies of the classes `(B, K)`."""
        if self.sigma == 0:
            return logits(self.left(x))
        left, right = self.sides
        return torch.logaddexp(left(x), right(x)) - torch.tensor(2.0, dtype=x.dtype).log()


@register(
    "defence",
    name="dual-smoothed",
    cites="drs",
    says="Lets two halves of the pixels vote behind noise, each without seeing the other.",
)
@settings
class DualSmoothing:
    """Smooths two halves of the input apart and adds their votes.

    A change must be shared out between the halves, and moves each half's quantile only by its own
    part; against the mean of both the best split is the even one, which costs the adversary a
    factor of up to the square root of 2 in length. Each half sees half the pixels, so models
    should be trained on such halves (`half`) with the same noise.

    Unlike the paper, the pixels of a half are not moved together into a narrower image but keep
    their places, and the others repeat them: models keep their input shape.

    Args:
        right: the model of the second half; the model itself unless given.
        sigma: standard deviation of the noise, in the unit of the input; 0 is the model itself.
        samples: noisy copies per input and half.
        seed: of the noise.

    Cost: `2 * samples` forward passes per row.
    """

    right: Ingredient[Model] = ingredient()
    sigma: NonNegative = 0.25
    samples: Count = 64
    seed: int = 0

    def __call__(self, model: Model) -> DualSmoothed:
        """The model and its partner, each behind its half.

        Raises:
            ConfigError: for an infinite sigma.
        """
        inside("[0, inf)", "DualSmoothing", sigma=self.sigma)
        right = model if self.right is None else self.right
        return DualSmoothed(model, right, self.sigma, self.samples, self.seed)
