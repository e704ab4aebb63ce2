"""Logits moved by how common their classes are, while training only."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run
from holdfast.objectives.supervised import per_row


@register("objective", cites="logit-adjustment", name="logit-adjusted",
          says="The loss of logits that know how common each class is.")  # fmt: skip
@settings
class LogitAdjusted(Objective):
    """Logit adjustment: a loss of `z + weight * log(share of the class)`, for rare classes.

    What the model has to say beyond the shares of the classes is left in z itself, so with weight
    1 the largest z belongs to the class under which the row is likeliest, not to the commonest
    one: the least error when all classes count alike. Weights of rows have the same optimum on
    endless data, but a net that gets all of its rows right answers to them no more; the moved
    logits ask for a wider margin of rare classes, and go on asking.

    Shares are those of the labels of all batches so far, one row more for each class, so that a
    class not met yet is rare and not impossible. Each process counts its own.

    Cost: one forward pass.

    Args:
        loss: between outputs and labels.
        weight: of the shares; at 0 it is training as usual.
    """

    coupled: ClassVar[bool] = True  # a batch is counted before it is learned

    loss: Part[Loss] = "loss:cross-entropy"
    weight: NonNegative = 1.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        outputs = logits(run.model(batch.x))
        rare = self.shares(run, batch.y, outputs.shape[-1]).log().to(outputs)
        moved = outputs + self.weight * rare
        return per_row(resolve(self.loss)(moved, batch.y), batch.y)

    def shares(self, run: Run, y: Tensor, classes: int) -> Tensor:
        """`(K,)`: shares of the classes among all labels seen, with those of this batch.

        Args:
            run: whose memory holds the counts.
            y: labels, or label shares with one dimension more.
            classes: K.
        """
        known = y.detach().cpu()
        if known.is_floating_point():
            here = known.flatten(0, -2).sum(0).double()
        else:
            here = known[known >= 0].flatten().bincount(minlength=classes).double()
        memory = run.memory(self)
        memory["seen"] = memory.get("seen", torch.zeros(classes, dtype=torch.double)) + here
        more: Tensor = memory["seen"] + 1
        return more / more.sum()
