"""What threats with few parameters have in common: each parameter in [-1, 1], in radii."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.kinds import Threat
from holdfast.threats.ball import continuous


class Parameters(Threat):
    """A change is a row of parameters, each in [-1, 1]: a box in radii, not in pixels."""

    winding = True

    def count(self, x: Tensor) -> int:
        """How many parameters a row has."""
        return 1

    def none(self, x: Tensor) -> Tensor:
        return continuous(x, self).new_zeros(len(x), self.count(x))

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """Uniform over the parameters."""
        draw = dice.uniform((self.count(x),), device=x.device, dtype=torch.float64)
        return (2 * draw - 1).to(x.dtype)

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Each parameter moves by up to `share` radii, uphill where a gradient is known."""
        draw = dice.uniform((self.count(x),), device=x.device, dtype=change.dtype)
        move = 2 * draw - 1 if gradient is None else draw * gradient.sign()
        return self.project(x, change + share * move)

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return torch.nan_to_num(change, nan=0.0).clamp(-1, 1)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        return change.abs().amax(1) if change.shape[1] else change.sum(1)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return gradient.sign()
