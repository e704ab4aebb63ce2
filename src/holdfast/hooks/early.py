"""Knowing when to stop."""

from __future__ import annotations

import math

import torch

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch, Batches
from holdfast.core.fields import Count, Ingredient, NonNegative, Part, ingredient, settings
from holdfast.core.kinds import Hook, Objective, Run
from holdfast.core.quiet import quiet
from holdfast.ops.batch import rows


@register("hook", cites="prechelt1998early", says="Stop when nothing gets better; keep the best.")
@settings
class EarlyStopping(Hook):
    """Early stopping: end after some epochs without improvement and go back to the best one.

    After each epoch an objective is taken on held-out rows, in evaluation mode and without
    leaving a trace; with an adversarial objective this stops on robust loss, which is what
    robust overfitting calls for. Without held-out rows the mean training loss is watched. The
    model ends with the weights of its best epoch, however the run ended.

    Cost per epoch: the objective on the held-out rows; one copy of the weights.

    Args:
        patience: epochs without improvement that are borne.
        least: what counts as improvement, in the unit of the loss.
        objective: what is watched.
        held: held-out rows, or None.
    """

    patience: Count = 10
    least: NonNegative = 0.0
    objective: Part[Objective] = "objective:supervised"
    held: Ingredient[Batches] = ingredient()

    def epoch(self, run: Run) -> bool | None:
        memory = run.memory(self)
        value = self.value(run)
        if value < memory.get("best", math.inf) - self.least or "weights" not in memory:
            state = run.model.state_dict()
            memory["weights"] = {name: w.detach().clone() for name, w in state.items()}
            memory["best"], memory["at"], memory["waited"] = value, run.epoch, 0
            return False
        memory["waited"] += 1
        return bool(memory["waited"] >= self.patience)

    def value(self, run: Run) -> float:
        """What is watched, now: the mean over the held-out rows, or over the last epoch."""
        if self.held is None:
            history = getattr(run, "history", [])
            return float(history[-1]["loss"]) if history else math.inf
        objective, total, dice = resolve(self.objective), 0.0, run.dice
        with quiet(run.model):
            run.model.eval()
            try:
                for batch in self.held:
                    run.dice = dice.spawn("held").keyed(batch.index)
                    total += float(objective(run, _like(run, batch)).detach().sum())
            finally:
                run.dice = dice
        return total / max(rows(self.held.x), 1)

    def end(self, run: Run) -> None:
        memory = run.memory(self)
        if "weights" in memory:
            run.model.load_state_dict(memory["weights"])


def _like(run: Run, batch: Batch) -> Batch:
    """The batch where the model is."""
    device = next((p.device for p in run.model.parameters()), torch.device("cpu"))
    x = batch.x.to(device) if isinstance(batch.x, torch.Tensor) else batch.x
    return batch._replace(x=x, y=batch.y.to(device), index=batch.index.to(device))
