"""What trains and what makes new models: objectives, hooks, recipes, rewrites, merges."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from holdfast.core.callables import State
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice


class Run(Protocol):
    """What an objective, a backward pass and a hook see of a training run."""

    model: nn.Module
    dice: Dice
    step: int
    epoch: int
    progress: float  # share of the planned steps that are done, in [0, 1]
    parts: nn.ModuleDict

    def memory(self, owner: object) -> dict[str, Any]:
        """The private, checkpointed memory of a hook, objective or backward pass."""


class Objective(Protocol):
    """One loss per row; `parts` is what else it trains (critics, heads, multipliers)."""

    def __call__(self, run: Run, batch: Batch) -> Tensor: ...


class Backward(Protocol):
    """Computes the losses and leaves `.grad` filled."""

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor: ...


class Hook(ABC):  # noqa: B024
    """Looks into a training run at fixed stages; overrides only the stages it needs."""

    def start(self, run: Run) -> None:  # noqa: B027
        """Before the first step."""

    def batch(self, run: Run, batch: Batch) -> Batch:
        """May replace the batch."""
        return batch

    def losses(self, run: Run, batch: Batch, losses: Tensor) -> Tensor:
        """May replace the losses `(B,)`."""
        return losses

    def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor | None:  # noqa: B027
        """Weights `(B,)` of mean 1, or None."""

    def gradients(self, run: Run) -> None:  # noqa: B027
        """After the backward pass, before the optimizer."""

    def stepped(self, run: Run) -> None:  # noqa: B027
        """After each step of the optimizer."""

    def epoch(self, run: Run) -> bool | None:  # noqa: B027
        """After each epoch; True asks the run to stop."""

    def end(self, run: Run) -> None:  # noqa: B027
        """After the last step."""


class Loss(Protocol):
    """(outputs, target, *, settings) -> one number per target, 0 at -100."""

    def __call__(self, outputs: Tensor, target: Tensor, /) -> Tensor: ...


class Recipe(Protocol):
    """(model, batches, *, dice) -> Run; the only kind that changes its model."""

    def __call__(self, model: nn.Module, batches: Batches, *, dice: Dice | None = None) -> Any: ...


class Rewrite(Protocol):
    """(model, batches, *, dice) -> a new model, smaller or cheaper."""

    def __call__(
        self, model: nn.Module, batches: Batches | None, *, dice: Dice | None = None
    ) -> nn.Module: ...


class Merge(Protocol):
    """(states, base, *, model, batches, dice) -> one state."""

    def __call__(
        self,
        states: Sequence[State],
        base: State | None,
        *,
        model: nn.Module | None = None,
        batches: Batches | None = None,
        dice: Dice | None = None,
    ) -> State: ...


class Aggregator(Protocol):
    """(updates (n, d), weights (n,)) -> (d,)."""

    def __call__(self, updates: Tensor, weights: Tensor | None, /) -> Tensor: ...
