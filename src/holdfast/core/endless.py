"""Goals that are never reached: what training and synthesis climb without ever being content."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.margin import Climbed, Goal, Outputs

FLOOR = -1e30  # no height lies lower, so that each is a number


def _bounded(height: Tensor) -> Tensor:
    """The margin of a height: rising, in [-3, -1]."""
    return height / (1 + height.abs()) - 2


class Endless(Goal):
    """A goal that rises with a height but is never reached, so that no row leaves early.

    The margin is a rising function of the height with values in [-3, -1]: an attack keeps the
    change with the largest height, and goes on after the first mistake of the model.
    """

    @abstractmethod
    def soft(self, outputs: Outputs) -> Tensor: ...

    def ways(self, outputs: Outputs) -> Tensor:
        return _bounded(self.soft(outputs))[:, None]


@dataclass(frozen=True, eq=False)
class LargestLoss(Endless):
    """The change with the largest cross-entropy.

    Climbs the logsumexp of the ways of a goal, of which cross-entropy is a rising function, and
    which does not round to zero where the model is confident.

    Args:
        goal: what is lost, from the labels.
    """

    goal: Goal

    def soft(self, outputs: Outputs) -> Tensor:
        if type(self.goal).soft is Goal.soft:
            return torch.logsumexp(self.goal.ways(outputs), -1).clamp(min=FLOOR)
        return self.goal.soft(outputs)

    def uphill(self, outputs: Outputs) -> Climbed | None:
        found = self.goal.uphill(outputs)
        if found is None:
            return None
        free = found.height()
        height = free.clamp(min=FLOOR)
        return Climbed(_bounded(height), found.slope * (free >= FLOOR)[:, None], lambda: height)

    def take(self, rows: Tensor | slice) -> LargestLoss:
        return LargestLoss(self.goal.take(rows))
