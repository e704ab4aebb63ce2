"""Tasks one after the other, without forgetting how to be robust."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.fields import Count, Later, Part, Share, settings
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Objective, Threat
from holdfast.hooks.projected import Projected, grown
from holdfast.recipes.standard import Standard
from holdfast.run.training import TrainingRun


@register("recipe", cites="dgp-robust-continual", name="continual",
          says="Learns robust tasks one by one without losing the earlier ones.")  # fmt: skip
@settings
class Continual:
    """Double gradient projection: tasks in turn, each learned beside what the others depend on.

    The groups of the data are tasks, learned in the order of their numbers and never seen again.
    After each one, a basis of what its rows depend on is kept (`hooks.projected.grown`), and
    steps for later tasks are projected off it, so that outputs and slopes on old rows stay.
    Bases grow and what can still be learned shrinks. Data without groups are one task.

    Cost: that of training under attack on each task once, and an SVD per layer and task.

    Args:
        objective: one loss per row; a robust one.
        optimizer: SGD without weight decay, so that steps stay where gradients are.
        epochs: passes over each task.
        outputs: share of the energy of layer inputs that is kept.
        slopes: share of the energy of their moves that is kept; 0 keeps outputs alone.
        rows: of each task from which bases are made.
        every: bases hold moves along all coordinates, not only along the slope of the loss.
    """

    objective: Part[Objective] = "objective:pgd-at"
    optimizer: Later = Later("torch:SGD", lr=0.1, momentum=0.9)
    epochs: Count = 20
    outputs: Share = 0.97
    slopes: Share = 0.97
    rows: Count = 200
    every: bool = False

    def against(self, threat: Threat) -> Continual:
        """The same recipe, hardened against another threat."""
        return replace(self, objective=Standard(objective=self.objective).against(threat).objective)

    def __call__(
        self, model: nn.Module, batches: Batches, *, dice: Dice | None = None
    ) -> TrainingRun:
        """Learn all tasks in turn, in place.

        Returns:
            The run of the last task; its history holds the epochs of all of them.

        Raises:
            Unsupported: if inputs are not one tensor.
        """
        one_tensor(batches.x, "recipe continual")
        own = dice_or(dice, len(batches))
        group = torch.zeros_like(batches.index) if batches.group is None else batches.group
        bases: dict[str, Tensor] = {}
        history: list[dict[str, float]] = []
        for task in group.unique().tolist():
            part = batches.take((group == task).nonzero().flatten())
            plan = Standard(
                objective=self.objective, optimizer=self.optimizer, epochs=self.epochs,
                hooks=(Projected(bases=bases),), schedule="constant",
            )  # fmt: skip
            run = plan(model, part, dice=own.spawn(f"task{task}").keyed(part.index))
            history += run.history
            first = next(model.parameters())
            seen = part.take(slice(0, self.rows)).whole
            bases = grown(
                model, seen.x.to(first.device), seen.y.to(first.device), bases,  # type: ignore[union-attr]
                outputs=self.outputs, slopes=self.slopes, every=self.every,
            )  # fmt: skip
        run.history = history
        return run
