"""A training run: what hooks and objectives see of it, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from holdfast.core.catalog import key
from holdfast.core.dice import Dice
from holdfast.run.walk import within


class TrainingRun:
    """One training of one model, under way or finished.

    Args:
        model: what is trained; in training mode while the run lasts, in evaluation mode after.
        parts: what objectives train besides the model (critics, heads, multipliers).
        dice: draws of the step under way, one row per row of the batch.
        steps: how many steps are planned.

    Attributes:
        optimizers: the optimizer of the main objective, then those of the turns.
        optimizer: the one whose turn it is.
        step: steps done.
        progress: share of the planned steps that are done, in [0, 1].
        epoch: number of the epoch under way, from 0; after the run, epochs done.
        history: one row of means per epoch: `loss`, `rate` (learning rate), and what hooks add.
        stopped: why the run ended before its plan: `deadline`, `asked`, `early`, or nothing.
    """

    def __init__(self, model: nn.Module, parts: nn.ModuleDict, dice: Dice, steps: int) -> None:
        self.model, self.parts, self.dice, self.steps = model, parts, dice, steps
        self.optimizers: list[Optimizer] = []
        self.turn = 0
        self.step, self.epoch, self.progress = 0, 0, 0.0
        self.history: list[dict[str, float]] = []
        self.stopped = ""
        self._owners: list[object] = []
        self._memories: dict[str, dict[str, Any]] = {}

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer whose turn it is."""
        return self.optimizers[self.turn]

    def advance(self) -> None:
        """One step more is done."""
        self.step += 1
        self.progress = min(1.0, self.step / max(self.steps, 1))

    def parameters(self) -> list[nn.Parameter]:
        """All weights, those of the model first."""
        return [*self.model.parameters(), *self.parts.parameters()]

    def modules(self) -> list[nn.Module]:
        """All layers, those of the model first."""
        return [*within(self.model), *within(self.parts)]

    def own(self, owners: Sequence[object]) -> None:
        """Give methods a place in the memory by their position: equal settings stay apart."""
        self._owners = list(owners)

    def memory(self, owner: object) -> dict[str, Any]:
        """The private, checkpointed memory of a hook, objective or backward pass."""
        return self._memories.setdefault(self._slot(owner), {})

    def _slot(self, owner: object) -> str:
        if isinstance(owner, str):
            return owner
        for number, known in enumerate(self._owners):
            if known is owner:
                return f"{number}"
        return f"{type(owner).__qualname__}:{key(owner)[:16]}"

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as tensors and plain values."""
        return {
            "model": dict(self.model.state_dict()),
            "parts": dict(self.parts.state_dict()),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
            "epoch": self.epoch,
            "history": [dict(row) for row in self.history],
            "stopped": self.stopped,
            "memories": {slot: dict(memory) for slot, memory in self._memories.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        self.model.load_state_dict(state["model"])
        self.parts.load_state_dict(state["parts"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.epoch = state["step"], state["epoch"]
        self.progress = min(1.0, self.step / max(self.steps, 1))
        self.history, self.stopped = state["history"], state["stopped"]
        for slot, saved in state["memories"].items():
            memory = self.memory(slot)
            memory.clear()
            memory.update(saved)
