"""Norm balls cut by the box of valid inputs: maximum norm, Euclidean norm, sum of changes."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import NonNegative, settings
from holdfast.ops.batch import fit
from holdfast.ops.exchange import exchange_l1
from holdfast.ops.geometry import norm, project_l1, project_l2, room, rounded
from holdfast.ops.steepest import even_l1, even_l2, step_l1, step_l2
from holdfast.threats.ball import Ball, Curved
from holdfast.threats.blocks import moved_mass, signs, window
from holdfast.threats.onward import Onward

EVEN = 2 / 3  # coordinates of a step under L1, as a share of those that a radius fills up
HALF = 0.5  # of its room is what a coordinate takes in at once: far away a slope says little


@register("threat", name="linf", cites="fgsm", says="Every coordinate moves by at most the radius.")
@settings
class LInf(Ball):
    """Every coordinate moves by at most the radius.

    Ball and box are both boxes, so projection, steepest step and uniform sampling are exact.

    Args:
        radius: largest change of a coordinate, in the unit of the inputs.
        low: least valid input value.
        high: largest valid input value.
    """

    name = "linf"
    order = float("inf")
    radius: NonNegative = 8 / 255
    low: float = 0.0
    high: float = 1.0

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        down, up = room(x, self.low, self.high)
        low, high = down.clamp(min=-self.radius), up.clamp(max=self.radius)
        draw = dice.uniform(x.shape[1:], device=x.device, dtype=x.dtype)
        return self.project(x, low + draw * (high - low))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Sets one random block, `share` of the coordinates, to plus or minus the radius."""
        corner = signs(x, dice, gradient) * self.radius
        return self.project(x, torch.where(window(x, share, dice), corner, change))

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        down, up = self._free(x, change)
        return torch.clamp(change, down, up).nan_to_num_(nan=0.0)  # 0 is always admissible

    def _room(self, x: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
        r = rounded(self.radius, kind)
        return (self.low - x).clamp_(-r, 0), (self.high - x).clamp_(0, r)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return gradient.sign().mul_(self.radius)  # the sign of what is no number is 0


@register("threat", name="l2", cites="pgd", says="The Euclidean length of the change is bounded.")
@settings
class L2(Curved):
    """The Euclidean length of the change is at most the radius.

    Unlike the usual scale-then-clip, the projection is the nearest point of ball and box, and a
    projected steepest step of one radius is the exact maximiser of a linear function.

    Args:
        radius: Euclidean length of the change, in the unit of the inputs.
        low: least valid input value.
        high: largest valid input value.
    """

    name = "l2"
    order = 2.0
    radius: NonNegative = 0.5
    low: float = 0.0
    high: float = 1.0

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """Uniform in the ball, then moved to the nearest point that also lies in the box."""
        draw = dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
        length = norm(draw, 2).clamp(min=torch.finfo(torch.float32).tiny)
        far = dice.uniform(device=x.device, dtype=length.dtype) ** (1 / max(1, x[:1].numel()))
        return self.project(x, draw * fit(self.radius * far / length, x).to(x.dtype))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Moves the budget of one random block to another, `share` of the coordinates each."""
        moved = moved_mass(x, change, share, 2, self._radii(x), dice, gradient)
        return self.project(x, moved)

    def along(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """One radius of the gradient's part that can still move; what leaves is projected back."""
        down, up = self._free(x, change)
        g = torch.nan_to_num(gradient, nan=0.0)
        return even_l2(g, self.radius, down - change, up - change)

    def _nearest(self, change: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
        return project_l2(change, radius, down, up)

    def _steepest(self, gradient: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
        return step_l2(gradient, radius, down, up)


@register("threat", name="l1", cites="mind-the-box", says="The sum of all changes is bounded.")
@settings
class L1(Curved, Onward):
    """The absolute changes sum to at most the radius.

    The box matters most here: the nearest point is found for ball and box together, and the
    steepest step fills the coordinates with the largest gradient up to the room they have left.
    Ascents of many steps move budget from the coordinates where it is worth least to those where
    it is worth most (`onward`). Unlike the paper's attack the sparsity of a step is not adapted:
    it follows from the room; AutoPGD's spread a radius evenly over two thirds of the coordinates
    that it would fill up.

    Args:
        radius: sum of absolute changes, in the unit of the inputs.
        low: least valid input value.
        high: largest valid input value.
    """

    name = "l1"
    order = 1.0
    radius: NonNegative = 12.0
    low: float = 0.0
    high: float = 1.0

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """Uniform in the ball, then moved to the nearest point that also lies in the box."""
        count = max(1, x[:1].numel())
        draw = -torch.log1p(-dice.uniform(x.shape[1:], device=x.device, dtype=torch.float64))
        way = dice.integers(2, x.shape[1:], device=x.device) * 2 - 1
        far = dice.uniform(device=x.device, dtype=torch.float64) ** (1 / count)
        scale = self.radius * far / norm(draw, 1).clamp(min=torch.finfo(torch.float32).tiny)
        return self.project(x, (draw * way * fit(scale, x)).to(x.dtype))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Moves the budget of one random block to another, `share` of the coordinates each."""
        moved = moved_mass(x, change, share, 1, self._radii(x), dice, gradient)
        return self.project(x, moved)

    def along(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """One radius, spread evenly over the best coordinates that can still move.

        There are two thirds as many of them as the radius would fill up from the input.
        """
        down, up = self._free(x, change)
        clean = torch.nan_to_num(gradient, nan=0.0)
        return even_l1(change, clean, EVEN, self.radius, down, up)

    def onward(self, x: Tensor, change: Tensor, gradient: Tensor, length: float) -> Tensor:
        """Budget goes from the coordinates that gain least to those that gain most.

        The length is that of what comes in; what goes for it is not counted.
        """
        down, up = self._free(x, change)
        clean, moved = torch.nan_to_num(gradient, nan=0.0), length * self.radius
        return self.project(x, exchange_l1(change, clean, moved, HALF, self.radius, down, up))

    def _nearest(self, change: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
        return project_l1(change, radius, down, up)

    def _steepest(self, gradient: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
        return step_l1(gradient, radius, down, up)
