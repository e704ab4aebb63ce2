"""Learning labels and a small robust teacher's answers on rows that a shift has spoilt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.fields import (
    Ingredient,
    NonNegative,
    Part,
    Positive,
    Share,
    ingredient,
    settings,
)
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Model, Objective, Run, Shift
from holdfast.objectives.adversary import divergence
from holdfast.objectives.supervised import per_row
from holdfast.objectives.teachers import answers_of, linear_teachers


@register("objective", cites="robustify-pretrained", name="taught",
          says="Labels and a robust teacher's answers on spoilt rows.")  # fmt: skip
@settings
class Taught(Objective):
    """Distillation of a small robust teacher into a part of a large model.

    Each row is seen as it is and as a shift of drawn severity leaves it; both versions cost the
    cross-entropy with the label plus the divergence from the teacher's softened answer to the
    same version, times the square of the temperature, which keeps its gradient of the same size.
    With `hook:tune-only` only the last layers of the model learn; the original stays beside it in
    `defence:gated`. Without a teacher's weight it is training on labels, spoilt rows included.

    Cost per batch: two forward passes of the model and of the teacher.

    Raises (when called):
        ConfigError: without a teacher, if it has a weight.

    Args:
        teacher: inputs -> logits, small, robust to the shift.
        shift: what spoils rows.
        severity: the largest one that is drawn.
        weight: of the divergence.
        temperature: of both answers.
        loss: between outputs and labels.
    """

    teacher: Ingredient[Model] = ingredient()
    shift: Part[Shift] = "shift:gaussian-noise"
    severity: Share = 1.0
    weight: NonNegative = 1.0
    temperature: Positive = 2.0
    loss: Part[Loss] = "loss:cross-entropy"

    @classmethod
    def example(cls, world: Any) -> Taught:
        """With a linear teacher of four inputs and no change of them, for the laws."""
        return cls(teacher=linear_teachers()[0], severity=0.0)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        plain = self._lost(run, batch)
        if not self.severity:
            return plain
        dice = run.dice.spawn("spoilt")
        step = int(torch.randint(5, (), generator=dice.generator("severity"))) + 1
        spoilt = resolve(self.shift)(batch, self.severity * step / 5, dice)
        return (plain + self._lost(run, spoilt)) / 2

    def _lost(self, run: Run, batch: Batch) -> Tensor:
        """`(B,)`: labels and teacher on one version of the rows."""
        z = logits(run.model(batch.x))
        total = per_row(resolve(self.loss)(z, batch.y), batch.y)
        if not self.weight:
            return total
        heat = self.temperature
        soft = (answers_of(self.teacher, batch.x, "Taught") / heat).log_softmax(-1)
        return total + self.weight * heat**2 * divergence(soft, (z / heat).log_softmax(-1))
