"""Training for small robust conformal sets: half of each batch calibrates, half is answered."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Count, Inner, NonNegative, Positive, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective, Run
from holdfast.objectives.adversarial import tensor_of
from holdfast.ops.conformal import soft_quantile


@register("objective", cites="rscp-plus", says="Small robust conformal sets that hold the label.")
@settings
class RobustConformalTraining(Objective):
    """Makes every step of robust conformal prediction smooth and minimises the size of the sets.

    In each batch the first half calibrates: the alpha-quantile of the normal quantiles of its
    mean probabilities under noise, lowered by `radius / sigma`, is the threshold; the second
    half is answered by sets whose classes are in by a sigmoid of their lead over it. The loss is
    the logarithm of how far labels are out, plus `weight` times how far sets exceed the target.
    The number belongs to the batch: every row carries it.

    Unlike the paper: the smooth quantile is that of Harrell and Davis, not a soft sort, and
    nothing is frozen; hand over a model whose other layers do not require a gradient to train
    the last layer alone.

    Cost per batch: `copies` forward passes.

    Args:
        alpha: share of labels that sets may miss.
        radius: Euclidean length of the changes to be tolerated.
        sigma: standard deviation of the noise.
        copies: noisy copies of each row.
        weight: of the size.
        target: size that costs nothing.
        temperature: width of the sigmoid, in normal quantiles.
    """

    coupled: ClassVar[bool] = True
    alpha: Inner = 0.1
    radius: NonNegative = 0.05
    sigma: Positive = 0.1
    copies: Count = 4
    weight: NonNegative = 1.0
    target: NonNegative = 1.0
    temperature: Positive = 0.1

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = tensor_of(batch)
        shape = (self.copies, *x.shape[1:])
        noise = self.sigma * run.dice.spawn("noise").normal(shape, device=x.device, dtype=x.dtype)
        z = logits(run.model((x[:, None] + noise).flatten(0, 1)))
        p = z.softmax(-1).unflatten(0, (len(x), self.copies)).mean(1)
        q = torch.special.ndtri(p.clamp(1e-7, 1 - 1e-7))
        # A last batch of one row has to serve as both halves.
        half = max(1, len(x) // 2) if len(x) > 1 else 0
        y = batch.y.to(q.device)
        known = y >= 0
        own = q.gather(1, y.clamp(min=0)[:, None]).squeeze(1)
        first = own[: half or 1][known[: half or 1]]
        rest = known[half:]
        if not len(first) or not bool(rest.any()):
            nothing: Tensor = 0 * q.sum(1)
            return nothing
        level = soft_quantile(first, self.alpha) - self.radius / self.sigma
        inside = torch.sigmoid((q[half:][rest] - level) / self.temperature)
        missed = 1 - inside.gather(1, y[half:][rest][:, None]).mean()
        excess = (inside.sum(1) - self.target).clamp(min=0).mean()
        return (missed + self.weight * excess + 1e-8).log().expand(len(x))
