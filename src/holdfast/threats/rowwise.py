"""One threat with a radius of its own for every row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Model, Threat
from holdfast.threats.ball import Additive
from holdfast.threats.onward import Onward, onward


class Rowwise(Onward):
    """A threat whose radius is multiplied by a factor per row.

    It is data, not a method: `take` takes the factors along. Rows of equal factors are handled
    together, by the threat scaled to them.

    Args:
        threat: added changes of bounded length, such as a norm ball.
        factors: `(B,)`, at least 0; few different ones, such as one per class.

    Raises:
        Unsupported: for a threat whose changes mean something else at another radius.
        ShapeError: for factors that are not one number per row.
    """

    def __init__(self, threat: Threat, factors: Tensor) -> None:
        if not isinstance(threat, Additive):
            raise Unsupported(
                f"{threat.spec} cannot have a radius per row",
                fix="Use a threat that adds a change of bounded length, such as linf:8/255.",
            )
        if factors.dim() != 1 or bool((factors < 0).any()):
            raise ShapeError(
                "Rowwise: factors must be (B,) and not negative",
                fix="Give one factor per row, 0 or more.",
            )
        self.threat, self.factors = threat, factors
        self.low, self.high = threat.low, threat.high
        self.groups = [
            (threat.scaled(float(f)), (factors == f).nonzero().flatten()) for f in factors.unique()
        ]

    @property
    def spec(self) -> str:
        return f"rowwise {self.threat.spec}"

    def _each(self, x: Tensor, part: Callable[[Threat, Tensor], Tensor]) -> Tensor:
        """`part(threat, rows)` of every group, put together."""
        if len(self.factors) != len(x):
            raise ShapeError(
                f"Rowwise: {len(self.factors)} factors for {len(x)} rows",
                fix="Give one factor per row.",
            )
        found: Tensor | None = None
        for threat, rows in self.groups:
            mine = part(threat, rows)
            found = mine.new_zeros((len(x), *mine.shape[1:])) if found is None else found
            found = found.index_copy(0, rows, mine)
        return self.none(x) if found is None else found

    def none(self, x: Tensor) -> Tensor:
        return self.threat.none(x)

    def _drawn(
        self, x: Tensor, dice: Dice, part: Callable[[Threat, Tensor, Dice], Tensor]
    ) -> Tensor:
        """The same with dice: every group counts the same draws, and so do the dice themselves."""
        own: list[Dice] = []

        def mine(threat: Threat, rows: Tensor) -> Tensor:
            own.append(dice.part(rows))
            return part(threat, rows, own[-1])

        drawn = self._each(x, mine)
        while own and dice.calls < own[-1].calls:
            dice.uniform()
        return drawn

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        return self._drawn(x, dice, lambda t, r, d: t.sample(x[r], d))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        def mine(threat: Threat, r: Tensor, d: Dice) -> Tensor:
            return threat.near(x[r], change[r], share, d, None if gradient is None else gradient[r])

        return self._drawn(x, dice, mine)

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return self._each(x, lambda t, r: t.project(x[r], change[r]))

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return self.threat.apply(x, change)

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        return self.threat.through(model, x, change)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        return self._each(x, lambda t, r: t.size(x[r], change[r]))

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return self._each(x, lambda t, r: t.steepest(x[r], change[r], gradient[r]))

    def along(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return self._each(x, lambda t, r: t.along(x[r], change[r], gradient[r]))

    def onward(self, x: Tensor, change: Tensor, gradient: Tensor, length: float) -> Tensor:
        return self._each(x, lambda t, r: onward(t, x[r], change[r], gradient[r], length))

    def scaled(self, factor: float) -> Rowwise:
        return Rowwise(self.threat.scaled(factor), self.factors)

    def take(self, rows: Tensor | slice) -> Rowwise:
        return Rowwise(self.threat, self.factors[rows])


def by_class(weights: Tensor, y: Tensor) -> Tensor:
    """`(...)`: the number of each label, or the mean over label shares; 1 without a label.

    Args:
        weights: `(K,)`, one number per class.
        y: labels `(...)`, or label shares `(..., K)`.
    """
    if y.is_floating_point():
        return y @ weights.to(y)
    return torch.where(y < 0, 1.0, weights[y.clamp(min=0)])
