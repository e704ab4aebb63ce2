"""A virtual class for what the features of trusted rows never do."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.fields import Natural, settings
from holdfast.core.kinds import Detector, Model, Score
from holdfast.detect.features import LAST, Judged, trusted_features
from holdfast.detect.head import head

WIDE, WIDER = (768, 512), (1500, 1000)  # features -> principal directions, from the paper


def principal(size: int) -> int:
    """How many directions count as ordinary among `size` features: about half."""
    for least, count in (WIDER, WIDE):
        if size > least:
            return count
    return size // 2


@register("detector", name="vim", cites="ood-scores")
@settings
class ViM(Detector):
    """Length of the features outside the principal directions, weighed against the logits.

    The length is scaled so that on trusted rows it equals the largest logit in the mean, and
    stands beside the logits as that of one more class; the score ranks rows as the probability
    of this virtual class does. Features are centred where the last layer answers with equal
    logits, as far as there is such a point. If the largest logits are negative in the mean, the
    length does not count.

    Cost: one forward pass per row; to fit, one per trusted row and an eigenvalue problem D x D.

    Args:
        dimension: principal directions; 0 takes the number that the paper gives for D features.
    """

    dimension: Natural = 0

    def fit(self, model: Model, trusted: Batches) -> Score:
        last, (known, _) = head(model, trusted), trusted_features(model, trusted, LAST)
        origin = -torch.linalg.pinv(last.weight) @ last.bias
        moved = known - origin
        size = moved.shape[1]
        ordinary = min(self.dimension or principal(size), size)
        vectors = torch.linalg.eigh(moved.T @ moved / len(moved)).eigenvectors  # rising
        rest = vectors[:, : size - ordinary]
        length = (moved @ rest).norm(dim=1)
        scale = last(known).amax(1).mean().clamp(min=0) / length.mean().clamp(min=1e-12)

        def virtual(h: Tensor) -> Tensor:
            found: Tensor = scale * ((h - origin) @ rest).norm(dim=1) - torch.logsumexp(last(h), 1)
            return found

        return Judged(model, LAST, virtual)
