"""Embeddings in which safe answers lie apart from all that is adversarial."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.errors import ShapeError
from holdfast.core.fields import NonNegative, Positive, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective, Run

SAFE, UNSAFE, JAILBREAK = 0, 1, 2


@register("objective", cites="alkali-grace-avqi", name="grace")
@settings
class Grace(Objective):
    """GRACE: safe answers away from adversarial ones, and these close together.

    The model's outputs are embeddings of answers, labelled 0 safe, 1 unsafe, 2 jailbreak (unsafe
    that looks safe). Three terms, each a mean over the pairs of a batch that a row is in: a safe
    and an adversarial row should be at least a margin apart; an unsafe row and a jailbreak
    should lie together, by squared distance; and a safe row should be preferred to an
    adversarial one, by the logistic loss of the lead of its reward. Rows depend on each other; a
    row without a partner counts 0. `layers.layer_pool.LayerPool` is the model of the paper.

    Unlike the paper: the reward of a row is its coordinate along the line from the mean of the
    adversarial rows to that of the safe ones, which is taken as fixed, instead of a ratio of
    likelihoods, which a frozen model cannot change; terms are means over pairs, not sums.

    Cost: one forward pass.

    Args:
        beta: factor of the reward's lead.
        preference: weight of the preference.
        separation: weight of the margin.
        cohesion: weight of the squared distances among adversarial rows.
        margin: distance that safe and adversarial rows should have.
    """

    coupled: ClassVar[bool] = True
    beta: Positive = 0.1
    preference: NonNegative = 1.0
    separation: NonNegative = 1.0
    cohesion: NonNegative = 1.0
    margin: Positive = 1.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        z = logits(run.model(batch.x))
        if z.dim() != 2 or batch.y.shape != z.shape[:1]:
            raise ShapeError(
                f"grace: embeddings must be (B, d) with one label each, got {tuple(z.shape)} "
                f"for labels {tuple(batch.y.shape)}",
                fix="Give a model that returns embeddings (B, d), and labels (B,).",
            )
        safe, bad = batch.y == SAFE, batch.y > SAFE
        unsafe, jailbreak = batch.y == UNSAFE, batch.y == JAILBREAK
        square = (z[:, None] - z[None]).square().sum(2)
        near = (self.margin - (square + torch.finfo(z.dtype).tiny).sqrt()).clamp(min=0)
        reward = z @ _line(z, safe, bad)
        lead = torch.where(safe[:, None], 1.0, -1.0) * (reward[:, None] - reward[None])
        across, among = _pairs(safe, bad), _pairs(unsafe, jailbreak)
        return (
            self.separation * _mean(near, across)
            + self.cohesion * _mean(square, among)
            + self.preference * _mean(F.softplus(-self.beta * lead), across)
        )


def _pairs(a: Tensor, b: Tensor) -> Tensor:
    """`(B, B)` bool: one row of each kind."""
    return a[:, None] & b[None] | b[:, None] & a[None]


def _mean(values: Tensor, pairs: Tensor) -> Tensor:
    """`(B,)`: mean over the pairs of each row; 0 without any."""
    return values.masked_fill(~pairs, 0.0).sum(1) / pairs.sum(1).clamp(min=1)


def _line(z: Tensor, safe: Tensor, bad: Tensor) -> Tensor:
    """`(d,)`: from the mean of the adversarial rows to that of the safe ones, of length 1."""
    means = [z[rows].detach().sum(0) / rows.sum().clamp(min=1) for rows in (safe, bad)]
    return F.normalize(means[0] - means[1], dim=0)
