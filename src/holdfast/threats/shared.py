"""One change that serves every input."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.fields import Part, settings
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Model, Threat
from holdfast.threats.ball import Additive


@register("threat", name="shared", cites="universal-perturbations")
@settings
class Shared(Threat):
    """One change for all inputs at once: a universal perturbation.

    Every row of a change is the same row: projecting averages the rows, and the steepest step
    is that of the summed gradient. The shared row lies in the ball; what the box of a single
    input cuts off is cut when it is applied.

    Rows depend on each other by nature (`coupled`): attack all rows in one chunk.

    Args:
        threat: what each single change may be.
    """

    coupled: ClassVar[bool] = True
    threat: Part[Threat] = "threat:linf"

    def __post_init__(self) -> None:
        object.__setattr__(self, "threat", resolve(self.threat))

    @property
    def _inner(self) -> Threat:
        return self.threat  # type: ignore[return-value]

    @property
    def winding(self) -> bool:  # type: ignore[override]
        """Whether each single change is."""
        return self._inner.winding

    @property
    def low(self) -> float:  # type: ignore[override]
        """Least valid input value."""
        return self._inner.low

    @property
    def high(self) -> float:  # type: ignore[override]
        """Largest valid input value."""
        return self._inner.high

    @property
    def spec(self) -> str:
        return f"shared+{self._inner.spec}"

    def none(self, x: Tensor) -> Tensor:
        return self._inner.none(x)

    def _middle(self, x: Tensor) -> Tensor:
        """One input whose box is no hindrance to a ball: the middle of the range."""
        like = x[:1] if len(x) else x.new_zeros(1, *x.shape[1:])
        return torch.full_like(like, (self.low + self.high) / 2)

    def _wide(self) -> Threat:
        """The threat without its box where it is added; the box acts when it is applied."""
        if not isinstance(self._inner, Additive):
            return self._inner
        reach = 2 * (self.high - self.low + 1 + self._inner.radius)
        return replace(self._inner, low=self.low - reach, high=self.high + reach)  # type: ignore[type-var]

    def _spread(self, row: Tensor, x: Tensor) -> Tensor:
        return row[:1].expand(len(x), *row.shape[1:])

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        return self._spread(self._wide().sample(self._middle(x), dice.one()), x)

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        if not len(x):
            return change
        uphill = None if gradient is None else gradient.sum(0, keepdim=True)
        row, one = self._mean(change), dice.one()
        return self._spread(self._wide().near(self._middle(x), row, share, one, uphill), x)

    def _mean(self, change: Tensor) -> Tensor:
        same = (change == change[:1]).all()
        return torch.where(same, change[:1], change.mean(0, keepdim=True))

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        if not len(x):
            return change
        return self._spread(self._wide().project(self._middle(x), self._mean(change)), x)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        if not len(x):
            return change
        total = gradient.sum(0, keepdim=True)
        return self._spread(self._wide().steepest(self._middle(x), change[:1], total), x)

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return self._inner.apply(x, change)

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        return self._inner.through(model, x, change)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        own = self._wide().size(self._middle(x).expand(x.shape), change)
        apart = (change != change[:1]).flatten(1).any(1)
        return own.masked_fill(apart, torch.inf)

    def scaled(self, factor: float) -> Shared:
        return replace(self, threat=self._inner.scaled(factor))
