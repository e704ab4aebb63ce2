"""A strong model that learns from the labels of a weak one."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.errors import ShapeError
from holdfast.core.fields import NonNegative, Share, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective, Run


@register("objective", cites="weak-to-strong-deception", name="weak-to-strong")
@settings
class WeakToStrong(Objective):
    """Cross-entropy with a weak teacher's shares of the labels, mixed with the pupil's own answers.

    `plain` takes the teacher's word. `confident` replaces a growing share of it by the pupil's
    hardened answer; with two classes the threshold is such that as many rows of the batch get each
    class as the teacher gives them, so rows depend on each other. `product` takes the normalised
    product of both. No gradient flows through the target. The conflict, to study what a
    pupil does under a second aim, adds the cross-entropy with the other classes.

    Unlike the authors' code, the share of `confident` grows in a line to its full size.

    Cost: one forward pass.

    Args:
        kind: how the target is made.
        weight: share of the pupil's own answer at the end (`confident`), or the power of its
            probabilities (`product`).
        ramp: share of the run in which the share grows.
        confidence: rows to whose label the teacher gives less are left out.
        conflict: weight of the second aim.
    """

    coupled: ClassVar[bool] = True
    kind: Literal["plain", "confident", "product"] = "confident"
    weight: NonNegative = 0.5
    ramp: Share = 0.1
    confidence: Share = 0.0
    conflict: NonNegative = 0.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        z = logits(run.model(batch.x))
        taught, kept = shares(batch.y, z), torch.ones_like(z[:, 0])
        if not batch.y.is_floating_point():
            kept = (batch.y != UNLABELLED).to(z)
        kept = kept * (taught.amax(1) >= self.confidence)
        target = self.target(z.detach().softmax(1), taught, run.progress)
        logp = z.log_softmax(1)
        loss = -(target * logp).sum(1)
        if self.conflict:
            other = (1 - taught) / max(z.shape[1] - 1, 1)
            loss = loss - self.conflict * (other * logp).sum(1)
        return loss * kept

    def target(self, own: Tensor, taught: Tensor, progress: float) -> Tensor:
        """`(B, K)`: shares of the labels that are learned.

        Args:
            own: the pupil's probabilities.
            taught: the teacher's shares.
            progress: of the run.
        """
        if self.kind == "product":
            both = own.pow(self.weight) * taught
            return both / both.sum(1, keepdim=True).clamp(min=torch.finfo(own.dtype).tiny)
        if self.kind == "plain":
            return taught
        share = min(1.0, self.weight * (min(1.0, progress / self.ramp) if self.ramp else 1.0))
        return (1 - share) * taught + share * hardened(own, taught)


def shares(y: Tensor, z: Tensor) -> Tensor:
    """Labels `(B,)` as shares `(B, K)`; shares as they are."""
    if y.is_floating_point():
        if y.shape != z.shape:
            raise ShapeError(
                f"weak-to-strong: shares of classes must be {tuple(z.shape)} like the "
                f"outputs, got {tuple(y.shape)}",
                fix="Give shares (B, K) for the K classes of the model.",
            )
        return y.to(z)
    return F.one_hot(y.clamp(min=0), z.shape[1]).to(z)


def hardened(own: Tensor, taught: Tensor) -> Tensor:
    """`(B, K)` one-hot answers; of two classes each is as frequent as the teacher has it."""
    if own.shape[1] != 2 or not len(own):
        return F.one_hot(own.argmax(1), own.shape[1]).to(own)
    first = own[:, 0] >= own[:, 0].quantile(taught[:, 1].mean())
    return torch.stack([first, ~first], 1).to(own)
