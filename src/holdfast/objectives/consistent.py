"""Answers to several views of a row shall be the same."""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Part, Share, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective, Run, Shift


def jensen_shannon(z: Tensor) -> Tensor:
    """`(B,)`: mean divergence of several answers from their mean, in [0, log m].

    Args:
        z: `(m, B, ..., K)` logits; positions between row and class are averaged over.
    """
    each = z.log_softmax(-1)
    mean = each.logsumexp(0) - log(len(z))
    apart = (each.exp() * (each - mean)).sum(-1).mean(0)
    return apart.flatten(1).mean(1) if apart.dim() > 1 else apart


def shaken(batch: Batch, severity: float, dice: Dice) -> Batch:
    """Rows of numbers a little moved: the shift of the laws, whose rows are no images."""
    x: Any = batch.x
    return batch._replace(x=x + 0.1 * severity * dice.normal(x.shape[1:], dtype=x.dtype))


@register(
    "objective", cites="augmix", name="consistent",
    says="How far the answers to shifted views of a row are from one another.",
)  # fmt: skip
@settings
class Consistent(Objective):
    """The Jensen-Shannon divergence of the answers to a row and to shifted views of it: a penalty.

    Each answer is compared with the mean of all, so none is the teacher, and the number is
    bounded. Without labels it says that a shift is no reason to answer otherwise. As the penalty
    of `objective:penalized` with a weight of 12 and views by AugMix it is AugMix training; the
    labels are learned from the rows themselves.

    Cost: one forward pass of the rows and each view, together.

    Args:
        shift: makes the views, each with draws of its own.
        severity: of the shift.
        views: besides the row itself.
    """

    shift: Part[Shift] = "shift:augmix"
    severity: Share = 0.3
    views: Count = 2

    @classmethod
    def example(cls, world: Any) -> Consistent:
        """With rows of numbers that are moved a little: those of the laws are no images."""
        return cls(shift=shaken)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        shift, seen = resolve(self.shift), [batch.x]
        for view in range(self.views):
            dice = run.dice.spawn(f"view{view}")
            seen.append(shift(batch, self.severity, dice).x)
        z = logits(run.model(torch.cat(seen)))  # type: ignore[arg-type]
        return jensen_shannon(z.unflatten(0, (len(seen), len(batch.index))))
