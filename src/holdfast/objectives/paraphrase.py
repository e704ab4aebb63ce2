"""The same answer for the same thing said in other words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Ingredient, NonNegative, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective, Run
from holdfast.ops.batch import Inputs


@register("objective", cites="rewordbench", says="Rewards stay where they are under paraphrases.")
@settings
class ParaphraseConsistency(Objective):
    """Cross-entropy, and the squared distance of the outputs from those of a paraphrase.

    With the rewards of a better and a worse response as the two outputs and label 0 the
    cross-entropy is the loss of Bradley and Terry, -log sigmoid(r_w - r_l); the second term holds
    each reward where it is when its text is said in other words. At weight 0 it is the plain loss.

    Cost: two forwards.

    Unlike the paper: the paraphrase is of all outputs of a row at once, and is given by the user:
    a function, or the further input `paraphrase` of the batch.

    Args:
        weight: of the consistency, mean over outputs of squared differences.
        paraphrase: (inputs, dice) -> inputs that mean the same; without it the batch must hold
            `more["paraphrase"]`.
    """

    weight: NonNegative = 10.0
    paraphrase: Ingredient[Callable[[Inputs, Dice], Inputs]] = ingredient()

    @classmethod
    def example(cls, world: Any) -> ParaphraseConsistency:
        """With inputs that move a little."""

        def moved(x: Inputs, dice: Dice) -> Inputs:
            return x + 0.01 if isinstance(x, Tensor) else x

        return cls(paraphrase=moved)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        z = logits(run.model(batch.x))
        if z.dim() != 2 or batch.y.shape != z.shape[:1]:
            raise ShapeError(
                "paraphrase consistency needs outputs (B, K) and labels (B,), got "
                f"{tuple(z.shape)} and {tuple(batch.y.shape)}",
                fix="Give a model that returns logits (B, K), and one label per row.",
            )
        plain = F.cross_entropy(z, batch.y, reduction="none", ignore_index=UNLABELLED)
        if self.weight == 0:
            return plain
        if self.paraphrase is not None:
            other = self.paraphrase(batch.x, run.dice.spawn("paraphrase"))
        elif "paraphrase" in batch.more:
            other = batch.more["paraphrase"]
        else:
            raise Unsupported(
                "paraphrase consistency has no paraphrases",
                fix='Give paraphrase=..., or more={"paraphrase": ...} with the data.',
            )
        return plain + self.weight * (logits(run.model(other)) - z).square().mean(1)
