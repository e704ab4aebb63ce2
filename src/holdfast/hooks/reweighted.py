"""Rows weighed by how badly they do."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Decay, Positive, Share, settings
from holdfast.core.kinds import Hook, Run


@register("hook", cites="done-doubly-robust-at", name="kl-dro", says="Rows weighed by their loss.")
@settings
class KLReweighting(Hook):
    """Worst weights of the rows, at a price: what descends is `t log mean exp(loss / t)`.

    That is the largest weighted mean loss when weights pay t for each nat of their divergence
    from equal ones; they are `exp(loss / t)` over its mean. The mean is over all rows, not over
    those of a batch: it is kept as a running one, in logarithms, so that small batches do not
    bias the gradient. With an adversarial objective both the change and the weights are the
    worst ones. The history goes on to show the plain mean loss.

    Cost: none. Each process keeps its own running mean.

    Args:
        temperature: t, in the unit of the loss; large is training as usual, small the worst row.
        momentum: share of the running mean that is kept; at 0 weights are those of the batch.
        warmup: share of the run in which all rows weigh the same.
    """

    neutral: ClassVar[dict[str, Any]] = {"warmup": 1.0}

    temperature: Positive = 1.0
    momentum: Decay = 0.9
    warmup: Share = 0.1

    def losses(self, run: Run, batch: Batch, losses: Tensor) -> Tensor:
        if run.progress < self.warmup or not len(losses):
            return losses
        memory = run.memory(self)
        scaled = losses.detach().double() / self.temperature
        level = scaled.logsumexp(0) - math.log(len(scaled))
        if self.momentum and "level" in memory:
            before = memory["level"].to(level) + math.log(self.momentum)
            level = torch.logaddexp(before, level + math.log1p(-self.momentum))
        memory["level"] = level
        weights = (scaled - level).exp().to(losses)
        return weights * losses + (1 - weights) * losses.detach()


def kl_dro(losses: Tensor, temperature: float) -> Tensor:
    """The worst weighted mean of losses when weights pay for their divergence from equal ones.

    `max_w sum_i w_i l_i - t KL(w || equal) = t log mean exp(l / t)`, between the mean (large t)
    and the largest loss (small t).

    Args:
        losses: `(B,)`.
        temperature: t, above 0.
    """
    worst: Tensor = (losses / temperature).logsumexp(0) - math.log(len(losses))
    return temperature * worst


def kl_dro_weights(losses: Tensor, temperature: float) -> Tensor:
    """`(B,)`: the weights that reach it; they add up to 1."""
    return (losses / temperature).softmax(0)
