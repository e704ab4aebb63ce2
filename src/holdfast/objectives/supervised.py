"""Learning from labels."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run


def per_row(losses: Tensor, target: Tensor) -> Tensor:
    """`(B,)`: the mean loss over the labelled targets of each row, 0 where none is labelled.

    Args:
        losses: `(B, ...)`, one per target.
        target: labels of the same shape, or label shares with one dimension more.
    """
    if losses.dim() == 1:
        return losses
    flat = losses.flatten(1)
    if target.shape != losses.shape:
        return flat.mean(1)
    labelled = (target != UNLABELLED).flatten(1).sum(1).clamp(min=1)
    return flat.sum(1) / labelled


@register("objective", cites="good1952rational", says="A loss between outputs and labels.")
@settings
class Supervised(Objective):
    """The loss of the model's outputs against the labels, one number per row.

    Rows of tokens or pixels count by the mean over their labelled positions; a row without any
    label counts 0 and pulls nothing.

    Cost: one forward pass.

    Args:
        loss: between outputs and labels.
    """

    loss: Part[Loss] = "loss:cross-entropy"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        outputs = logits(run.model(batch.x))
        return per_row(resolve(self.loss)(outputs, batch.y), batch.y)
