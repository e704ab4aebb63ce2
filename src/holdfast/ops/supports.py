"""Regions of normal latent numbers whose mass is known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Slab:
    """All z between two parallel planes, given by quantiles of the normal `direction . z`.

    Args:
        direction: `(d,)` of length 1.
        low: quantile of one plane, in [0, 1].
        high: quantile of the other.
    """

    direction: Tensor
    low: float
    high: float

    @property
    def mass(self) -> float:
        """Probability under the standard normal distribution."""
        return min(self.high, 1.0) - max(self.low, 0.0)

    def common(self, other: Slab) -> float:
        """Mass that a slab of the same direction shares with this one."""
        return max(0.0, min(self.high, other.high, 1.0) - max(self.low, other.low, 0.0))

    def holds(self, z: Tensor) -> Tensor:
        """`(n,)` bool: which rows lie in it."""
        share = torch.special.ndtr(z.double() @ self.direction.to(z.device))
        held: Tensor = (share >= self.low) & (share <= self.high)
        return held

    def inside(self, z: Tensor) -> Tensor:
        """Standard normal rows moved along the direction so that they follow the slab's law.

        The quantile of `direction . z` is brought from [0, 1] to [low, high]; what is
        perpendicular stays, as it is independent.
        """
        along = z.double() @ self.direction.to(z.device)
        share = self.low + torch.special.ndtr(along) * (min(self.high, 1.0) - self.low)
        there = torch.special.ndtri(share.clamp(1e-15, 1 - 1e-15))
        moved: Tensor = z.double() + (there - along)[:, None] * self.direction.to(z.device)
        return moved


@dataclass(frozen=True, eq=False)
class Shell:
    """All z whose length lies between two radii, given by quantiles of the length.

    Args:
        size: dimension of z.
        low: quantile of the inner radius, in [0, 1].
        high: quantile of the outer one.
    """

    size: int
    low: float
    high: float

    @property
    def mass(self) -> float:
        """Probability under the standard normal distribution."""
        return self.high - self.low

    def common(self, other: Shell) -> float:
        """Mass that another shell shares with this one."""
        return max(0.0, min(self.high, other.high) - max(self.low, other.low))

    def inside(self, z: Tensor) -> Tensor:
        """Standard normal rows stretched so that their lengths follow the shell's law."""
        from scipy.stats import chi

        length = z.double().norm(dim=1)
        share = torch.from_numpy(chi.cdf(length.cpu().numpy(), self.size)).to(length)
        there = self.low + share * (self.high - self.low)
        far = torch.from_numpy(chi.ppf(there.cpu().numpy(), self.size)).to(length)
        moved: Tensor = z.double() * (far / length.clamp(min=1e-300))[:, None]
        return moved
