"""Every point of a grid: exhaustive search of threats with few parameters."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat


@register(
    "attack",
    cites="exploring-spatial-robustness",
    says="Tries every point of a grid of a small threat.",
)
@settings
class Grid(Attack):
    """Tries every point of a regular grid between the ends of each parameter of a change.

    Made for threats of few parameters (an angle, two shifts), whose landscape is too rugged for
    gradients. The ends are the projected steepest steps up and down, so the grid spans what the
    threat admits. Properties: deterministic; on a row that stays unbroken the result is the
    exact maximum over the grid; points far from no change come first, since they break most.

    Args:
        samples: points per parameter; an odd number includes no change.
        most: largest number of grid points; more raise Unsupported.

    Cost: at most `samples ** parameters` forwards per row, fewer where one breaks it.

    Raises:
        Unsupported: if the grid would be larger than `most`.
    """

    access: ClassVar[Access] = Access.SCORE
    samples: Count = 15
    most: Count = 5000

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        none = threat.none(x).detach()
        count = prod(none.shape[1:])
        if self.samples**count > self.most:
            raise Unsupported(
                f"a grid of {self.samples} points for each of {count} numbers per change"
                f" of {threat.spec} has more than {self.most} points",
                fix="Use a threat of few parameters (rotation, translation), or attack:square.",
            )
        active = Active(model, x, goal, threat, dice)
        low, high = _ends(x, threat, none)
        for point in _points(self.samples, count):
            if not len(active):
                break
            share = torch.tensor(point, dtype=none.dtype, device=x.device).reshape(none.shape[1:])
            low_a, high_a = low[active.index], high[active.index]
            change = active.threat.project(active.x, low_a + share * (high_a - low_a))
            active.see(change, active.margins(change))
        return active.best


def _ends(x: Tensor, threat: Threat, none: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest admissible value of every number of a change."""
    up = threat.project(x, none + threat.steepest(x, none, torch.ones_like(none)))
    down = threat.project(x, none + threat.steepest(x, none, -torch.ones_like(none)))
    return down.detach(), up.detach()


def _points(samples: int, count: int) -> list[tuple[float, ...]]:
    """All points of the unit cube's grid, those far from its centre first."""
    axis = [0.5] if samples == 1 else [i / (samples - 1) for i in range(samples)]
    points = product(axis, repeat=count)
    return sorted(points, key=lambda p: -sum((v - 0.5) ** 2 for v in p))
