"""Representations in which a nuisance cannot be seen."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run
from holdfast.objectives.supervised import per_row


@register("objective", cites="trustworthy-causal-survey", says="Answers alike in all domains.")
@settings
class DomainInvariance(Objective):
    """The loss, and how well the best linear critic tells the domains of a class apart.

    Domains are the groups of the data (`Batches.group`). Among critics of the answers with unit
    weights, the one that separates two domains best reaches the distance of their means; the
    squared distance of each domain's mean from that of its class is therefore what such an
    adversary gains, in closed form, and is added to every row. Compared within classes, so that a
    nuisance that goes together with the label does not cost the label. Without groups, or at
    weight 0, this is training on labels.

    Unlike the methods it stands for: no critic net is trained, and what is compared are the
    outputs of the model, not an inner layer.

    Cost per batch: one forward pass.

    Args:
        weight: of the critic's gain.
        loss: between outputs and labels.
    """

    coupled: ClassVar[bool] = True
    weight: NonNegative = 1.0
    loss: Part[Loss] = "loss:cross-entropy"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        z = logits(run.model(batch.x))
        plain = per_row(resolve(self.loss)(z, batch.y), batch.y)
        if batch.group is None or not self.weight or batch.y.dim() != 1:
            return plain
        return plain + self.weight * critic_gain(z.flatten(1), batch.y, batch.group)


def critic_gain(z: Tensor, y: Tensor, group: Tensor) -> Tensor:
    """Mean over rows of the squared distance from their domain's mean to their class's.

    Args:
        z: `(B, d)` representation.
        y: `(B,)` labels; rows at -100 do not count.
        group: `(B,)` domains.
    """
    known = y != UNLABELLED
    z, y, group = z[known], y[known].long(), group[known].long()
    if not len(z):
        return z.sum()
    both = torch.stack([y, group], 1).unique(dim=0, return_inverse=True)[1]
    apart = _means(z, both) - _means(z, y)
    return apart.square().sum(1).mean()


def _means(z: Tensor, label: Tensor) -> Tensor:
    """`(B, d)`: for each row the mean of all rows of its label."""
    member = torch.nn.functional.one_hot(label).to(z)
    centres = member.T @ z / member.sum(0).clamp(min=1)[:, None]
    return centres[label]
