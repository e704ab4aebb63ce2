"""One step of one optimizer: the gradients it asks for, in as many parts as memory allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Backward, Hook
from holdfast.run import ranks
from holdfast.run.fused import alike
from holdfast.run.loop import Training
from holdfast.run.players import Player
from holdfast.run.scaler import Scaler
from holdfast.run.schedule import rate
from holdfast.run.second_look import forget, look
from holdfast.run.training import TrainingRun
from holdfast.run.walk import without_gradients
from holdfast.run.weighted import Weighted, alone, frozen_statistics

_LOOK = 16  # steps between looks at the loss where a look stops the device
_WORDS = ("out of memory", "not enough memory", "can't allocate memory")


class Move:
    """Moves the weights of a player once.

    Where memory runs out the batches of the step are halved until they fit, and their gradients
    are summed: the step stays that of the whole batch, except where a layer looks at the whole
    batch (and its running statistics may count rows of the failed attempt too). What fitted once
    is kept for the steps to come.

    A loss that is not finite ends the run before it moves anything; on an accelerator it is
    looked at every 16 steps and before anything is kept, so that no look holds up the others.

    Args:
        plan: settings of the training.
        run: under way.
        hooks: called around gradients and losses.
        backward: makes gradients.
        dice: of the run.
        device: where the model is.
    """

    def __init__(
        self, plan: Training, run: TrainingRun, hooks: Sequence[Hook], backward: Backward,
        dice: Dice, device: torch.device,
    ) -> None:  # fmt: skip
        self.plan, self.run, self.hooks, self.backward = plan, run, hooks, backward
        self.dice, self.device = dice, device
        self.total, self.rows = torch.zeros((), dtype=torch.float64, device=device), 0
        self.scaler = Scaler(plan.precision, run.memory("scaler"))
        self.memory = run.memory("parts")
        self.nothing = torch.zeros((), dtype=torch.float64)  # of a process without rows
        self.file: Path | None = None

    def __call__(self, player: Player, group: Sequence[Batch], *, main: bool) -> bool:
        """One step; False if the gradients overflowed."""
        run, plan = self.run, self.plan
        factor = rate(plan.schedule, run.step, run.steps, plan.warmup)
        for settings in player.optimizer.param_groups:
            settings["lr"] = settings["initial_lr"] * factor
        together = ranks.world() > 1 or self.scaler.active
        rows = ranks.rows_of_step(group, self.device)
        calls, finite = 0, True
        if hasattr(player.optimizer, "progress"):
            player.optimizer.progress = run.progress

        def closure() -> Tensor:
            nonlocal calls, finite
            first = calls == 0
            look(run, player.optimizer)
            objective = self._passed(player, group, rows, first)
            if together:
                parameters = run.parameters()
                ranks.sum_gradients(parameters)
                finite = self.scaler.unscale(parameters)
            value = objective.value
            value = ranks.sum_over_ranks(self.nothing if value is None else value)
            # A search along a line may try what is not finite; where it begins may not be.
            if first and (self.device.type == "cpu" or run.step % _LOOK == 0):
                self.sound(float(value))
            if finite and not getattr(player.optimizer, "probing", False):
                for hook in self.hooks:
                    hook.gradients(run)
            alike(player.optimizer)
            if first and main:
                self.rows += objective.rows
                if objective.total is not None:
                    self.total += objective.total
            calls += 1
            return value

        try:
            player.optimizer.step(closure)  # type: ignore[arg-type]
        finally:
            forget(run)
        self.scaler.update(finite)
        return finite

    @property
    def sums(self) -> Tensor:
        """Plain losses and rows of this epoch so far, those of the main player."""
        return torch.stack([self.total, torch.full_like(self.total, self.rows)])

    def begin(self, total: float = 0.0, rows: float = 0.0) -> None:
        """Count from here, at the beginning of an epoch or where one was left."""
        self.total.fill_(total)
        self.rows = int(rows)

    def sound(self, value: float) -> None:
        """Refuse to go on from a loss that is not finite, unless it may be half precision's.

        Raises:
            Unsupported: naming the step, and where the last good state is.
        """
        if math.isfinite(value) or (self.scaler.active and self.scaler.factor > 1):
            return
        run = self.run
        kept = (
            "" if self.file is None or not self.file.exists() else f"; {self.file} is from before"
        )
        raise Unsupported(
            f"training: the loss is {value} in step {run.step} (epoch {run.epoch}){kept}",
            fix="Use a smaller learning rate, ClipNorm, or full precision.",
            code="E0330",
        )

    def _passed(self, player: Player, group: Sequence[Batch], rows: int, first: bool) -> Weighted:
        """Gradients of the whole step; in smaller parts for good once memory has run out."""
        while True:
            parts = int(self.memory.get("parts", 1))
            try:
                return self._pass(player, _cut(group, parts), rows, first)
            except (RuntimeError, MemoryError) as error:
                most = max((len(b.index) for b in group), default=0)
                if not starved(error) or parts >= most:
                    raise
            self.memory["parts"] = 2 * parts  # the failed pass is let go before the next one
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _pass(self, player: Player, group: Sequence[Batch], rows: int, first: bool) -> Weighted:
        run, plan = self.run, self.plan
        modules = run.modules()
        without_gradients(modules)
        ranks.seed(self.dice, f"step{run.step}", self.device)
        objective = Weighted(
            player.objective, plan.precision, self.hooks, self.scaler, rows, modules
        )
        with torch.enable_grad(), frozen_statistics(run.model, not first):
            for batch in group:
                if count := batch.index.shape[0]:
                    run.dice = self.dice.spawn(f"step{run.step}").keyed(batch.index)
                    with alone(run.model, count):
                        self.backward(run, batch, objective)
        return objective


def _cut(group: Sequence[Batch], parts: int) -> list[Batch]:
    """The batches of a step, each in so many parts of about the same size."""
    if parts == 1:
        return list(group)
    found = []
    for batch in group:
        size = max(-(-len(batch.index) // parts), 1)
        found += [batch.take(slice(i, i + size)) for i in range(0, len(batch.index), size)]
    return found


def starved(error: BaseException) -> bool:
    """Whether an error says that memory has run out."""
    said = str(error).lower()
    own = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return own or any(word in said for word in _WORDS)
