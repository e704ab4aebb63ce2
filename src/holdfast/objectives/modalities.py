"""Training that raises the margin of the weakest modality."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run
from holdfast.layers.fusion import TwoTowers
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.supervised import per_row


def weakest(scores: Tensor, y: Tensor) -> Tensor:
    """`(B,)`: the logarithm of how much all modalities together leave to other classes.

    The sum stands inside the logarithm, so that it goes like the smallest margin of a modality,
    and improving the one that is preferred anyway changes nothing.

    Args:
        scores: `(B, M, K)`.
        y: `(B,)` labels.
    """
    own = y.clamp(min=0)[:, None, None].expand(-1, scores.shape[1], 1)
    behind = (scores - scores.gather(2, own)).scatter(2, own, -torch.inf)
    return (behind.exp().sum((1, 2)) + 1e-5).log()


@register("objective", cites="crmt", name="crmt")
@settings
class ModalityBalance(Objective):
    """The loss of the fused logits, plus how much the weakest modality leaves to other classes.

    Joint training learns the modality that is easier and neglects the other, so an attack on
    the one alone suffices. The second term is the logarithm of the sum, over modalities and wrong
    classes, of the exponential of how far the class is from being beaten: it is ruled by the
    smallest margin of all. It sees the scores before the fusion's own factors, whose rows have
    length one. A model without parts counts as a single modality.

    Unlike the paper: its second stage, which tunes the fusion's factors alone, is left out; and
    the certificate is `certifier:lipschitz`, whose constants are proved, not the largest gradient
    that was seen.

    Cost: two passes through the encoders.

    Args:
        loss: of the fused logits.
        weight: of the second term.
    """

    loss: Part[Loss] = "loss:cross-entropy"
    weight: NonNegative = 2.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = tensor_of(batch)
        z = logits(run.model(x))
        plain = per_row(resolve(self.loss)(z, batch.y), batch.y)
        scores = z[:, None]
        if isinstance(run.model, TwoTowers):
            scores = run.model.fusion.scores(run.model.features(x))
        labelled = (batch.y != UNLABELLED).to(plain)
        return plain + self.weight * labelled * weakest(scores, batch.y)
