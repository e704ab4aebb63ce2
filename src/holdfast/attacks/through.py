"""The best input of a trained network: a function of its outputs, maximised by an attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from holdfast.attacks.directional import Directional
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal, Outputs
from holdfast.core.kinds import Model
from holdfast.threats.norms import LInf


@dataclass(frozen=True, eq=False)
class Through(Goal):
    """A function of a network's outputs that is to be as large as possible, and never enough.

    The margin rises with the function within (-3, -1) where all constraints hold, and falls with
    their violation within (-5, -3) where they do not.

    Args:
        value: outputs -> `(B,)`.
        limits: outputs -> `(B, C)`, at most 0 where they hold.
    """

    value: Callable[[Outputs], Tensor]
    limits: Callable[[Outputs], Tensor] | None = None

    def soft(self, outputs: Outputs) -> Tensor:
        height, violation = self.value(outputs), self._violation(outputs)
        return torch.where(violation > 0, -violation, height)

    def ways(self, outputs: Outputs) -> Tensor:
        height, violation = self.value(outputs).double(), self._violation(outputs).double()
        good = height / (1 + height.abs()) - 2
        bad = -3 - 2 * violation / (1 + violation)
        return torch.where(violation > 0, bad, good)[:, None]

    def take(self, rows: Tensor | slice) -> Through:
        return self

    def _violation(self, outputs: Outputs) -> Tensor:
        if self.limits is None:
            return torch.zeros_like(self.value(outputs))
        return self.limits(outputs).clamp(min=0).square().sum(1)


def maximize_through(
    model: Model,
    value: Callable[[Outputs], Tensor],
    start: Tensor,
    *,
    limits: Callable[[Outputs], Tensor] | None = None,
    low: float = 0.0,
    high: float = 1.0,
    steps: int = 200,
    search: Directional | None = None,
    dice: Dice | None = None,
) -> Tensor:
    """Inputs of a trained network at which a function of its outputs is large.

    Each row climbs from its own start with `attack:directional`. Property: every input handed
    back lies in the box, and no row ends with a smaller value than it began with; among points
    that break a constraint the one that breaks it least counts as best.

    Args:
        model: inputs `(B, ...)` -> outputs.
        value: outputs -> `(B,)`, each row from its own outputs.
        start: `(B, ...)` inputs within the box.
        limits: outputs -> `(B, C)`; a constraint holds where it is at most 0.
        low: least value of a coordinate.
        high: largest value of a coordinate.
        steps: evaluations per row.
        search: how; its `steps` are replaced.
        dice: draws of the B rows.

    Returns:
        `(B, ...)`: the best inputs seen.
    """
    found = replace(search or Directional(cover=4), steps=steps)
    box = LInf(radius=high - low, low=low, high=high)
    change = found(model, start, Through(value, limits), box, dice=dice)
    return box.apply(start, change).detach()
