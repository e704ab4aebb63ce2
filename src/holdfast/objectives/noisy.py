"""Learning behind noise: what makes a model worth smoothing."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Count, NonNegative, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective, Run
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.supervised import per_row


@register(
    "objective",
    cites=("randomized-smoothing", "rrcm"),
    says="The loss on noisy copies of each row, which must agree.",
)
@settings
class Noisy(Objective):
    """The cross-entropy of noisy copies, and how far their answers are from their mean.

    A smoothed model is certified by the share of noisy copies that agree, so it must be trained
    on them. With `weight` the answers of the copies are drawn together, by the divergence of their
    mean from each, and with `sharpness` that mean is made sure of itself, which enlarges radii
    at some price in accuracy. With one copy and both at 0 it is plain Gaussian augmentation.

    Cost: `copies` forward passes.

    Args:
        sigma: standard deviation of the noise, in the unit of the inputs.
        copies: noisy copies per row.
        weight: of the divergence between the copies.
        sharpness: weight of the entropy of their mean.
    """

    sigma: NonNegative = 0.25
    copies: Count = 1
    weight: NonNegative = 0.0
    sharpness: NonNegative = 0.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, dice = tensor_of(batch), run.dice.spawn("noisy")
        noise = dice.normal((self.copies, *x.shape[1:]), device=x.device, dtype=x.dtype)
        copies = (x[:, None] + self.sigma * noise).transpose(0, 1).flatten(0, 1)
        z = logits(run.model(copies)).unflatten(0, (self.copies, len(x)))
        task = torch.stack([per_row(cross_entropy(each, batch.y), batch.y) for each in z]).mean(0)
        return task + agreement(z, self.weight, self.sharpness)


def agreement(z: Tensor, weight: float, sharpness: float) -> Tensor:
    """`(B,)`: divergence of the mean answer from each one, and the entropy of the mean, weighted.

    Args:
        z: `(m, B, ..., K)` logits of m copies.
        weight: of the divergence.
        sharpness: of the entropy.
    """
    each = z.log_softmax(-1)
    mean = each.logsumexp(0) - torch.tensor(float(len(z)), dtype=z.dtype, device=z.device).log()
    apart = (mean.exp() * (mean - each)).sum(-1).mean(0)
    entropy = -(mean.exp() * mean).sum(-1)
    found = weight * apart + sharpness * entropy
    return found.flatten(1).mean(1) if found.dim() > 1 else found
