"""One step of one optimizer: the gradients it asks for, in as many parts as memory allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Backward, Hook
from holdfast.run import ranks
from holdfast.run.loop import Training
from holdfast.run.players import Player
from holdfast.run.scaler import Scaler
from holdfast.run.schedule import rate
from holdfast.run.second_look import looking
from holdfast.run.training import TrainingRun
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
        sums: plain losses and rows of this epoch; the main player's are added.
    """

    def __init__(
        self, plan: Training, run: TrainingRun, hooks: Sequence[Hook], backward: Backward,
        dice: Dice, sums: Tensor,
    ) -> None:  # fmt: skip
        self.plan, self.run, self.hooks, self.backward = plan, run, hooks, backward
        self.dice, self.sums, self.device = dice, sums, sums.device
        self.scaler = Scaler(plan.precision, run.memory("scaler"))
        self.memory = run.memory("parts")
        self.file: Path | None = None

    def __call__(self, player: Player, group: Sequence[Batch], *, main: bool) -> bool:
        """One step; False if the gradients overflowed."""
        run, plan = self.run, self.plan
        factor = rate(plan.schedule, run.step, run.steps, plan.warmup)
        for settings in player.optimizer.param_groups:
            settings["lr"] = settings["initial_lr"] * factor
        parameters = run.parameters()
        rows = ranks.rows_of_step(group, self.device)
        calls, finite = 0, True
        if hasattr(player.optimizer, "progress"):
            player.optimizer.progress = run.progress

        def closure() -> Tensor:
            nonlocal calls, finite
            first = calls == 0
            look()
            objective = self._passed(player, group, rows, parameters, first)
            ranks.sum_gradients(parameters)
            finite = self.scaler.unscale(parameters)
            value = ranks.sum_over_ranks(objective.value)
            # A search along a line may try what is not finite; where it begins may not be.
            if first and (self.device.type == "cpu" or run.step % _LOOK == 0):
                self.sound(float(value))
            if finite and not getattr(player.optimizer, "probing", False):
                for hook in self.hooks:
                    hook.gradients(run)
            if first and main:
                self.sums += torch.stack([objective.total.double(), objective.rows.double()])
            calls += 1
            return value

        with looking(run, player.optimizer) as look:
            player.optimizer.step(closure)  # type: ignore[arg-type]
        self.scaler.update(finite)
        return finite

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

    def _passed(
        self, player: Player, group: Sequence[Batch], rows: int,
        parameters: list[nn.Parameter], first: bool,
    ) -> Weighted:  # fmt: skip
        """Gradients of the whole step; in smaller parts for good once memory has run out."""
        most = max((len(b.index) for b in group), default=0)
        while True:
            parts = int(self.memory.get("parts", 1))
            try:
                return self._pass(player, _cut(group, parts), rows, parameters, first)
            except (RuntimeError, MemoryError) as error:
                if not starved(error) or parts >= most:
                    raise
            self.memory["parts"] = 2 * parts  # the failed pass is let go before the next one
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _pass(
        self, player: Player, group: Sequence[Batch], rows: int,
        parameters: list[nn.Parameter], first: bool,
    ) -> Weighted:  # fmt: skip
        run, plan = self.run, self.plan
        for p in parameters:
            p.grad = None
        ranks.seed(self.dice, f"step{run.step}", self.device)
        objective = Weighted(player.objective, plan.precision, self.hooks, self.scaler, rows)
        with torch.enable_grad(), frozen_statistics(run.model, not first):
            for batch in (b for b in group if len(b.index)):
                run.dice = self.dice.spawn(f"step{run.step}").keyed(batch.index)
                with alone(run.model, len(batch.index)):
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
