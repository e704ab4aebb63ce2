"""Detectors that read only the logits: they learn nothing, or little, and cost one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.fields import Count, Inner, Positive, settings
from holdfast.core.kinds import Detector, Model, Score
from holdfast.detect.features import ANSWER, Judged, trusted_features


@register("detector", cites="ood-scores")
@settings
class MaxSoftmax(Detector):
    """Trusts an answer as far as its probability goes: minus the log of the largest one.

    The same ranking as one minus the largest probability, but without its rounding to zero
    for certain answers. A row with non-finite logits gets an infinite score.

    Cost: one forward pass per row, none to fit.
    """

    def fit(self, model: Model, trusted: Batches) -> Score:
        return Judged(model, ANSWER, lambda z: -z.log_softmax(1).amax(1))


@register("detector", cites="ood-scores")
@settings
class MaxLogit(Detector):
    """Trusts inputs whose largest logit is large: minus that logit.

    It is the energy at temperature zero, and lies within log K of the one at temperature one.

    Cost: one forward pass per row, none to fit.
    """

    def fit(self, model: Model, trusted: Batches) -> Score:
        return Judged(model, ANSWER, lambda z: -z.amax(1))


@register("detector", cites="ood-scores")
@settings
class GeneralizedEntropy(Detector):
    """Distrusts answers whose probabilities are spread: sum of (p (1 - p))^power.

    Only the largest probabilities count, so that many classes do not add up their noise. A small
    power looks at differences among small probabilities, which the entropy hardly sees.

    Cost: one forward pass per row, none to fit.

    Args:
        power: of each term, in (0, 1).
        top: how many of the largest probabilities count.
    """

    power: Inner = 0.1
    top: Count = 100

    def fit(self, model: Model, trusted: Batches) -> Score:
        def spread(z: Tensor) -> Tensor:
            p = z.softmax(1).topk(min(self.top, z.shape[1]), 1).values
            return (p * (1 - p)).clamp(min=0).pow(self.power).sum(1)

        return Judged(model, ANSWER, spread)


@register("detector", cites="ood-scores")
@settings
class KLMatching(Detector):
    """Distance of an answer to the typical answer of any class, in nats.

    Trusted rows that get the same answer have a mean vector of probabilities; the score is the
    smallest Kullback-Leibler divergence from the row's own probabilities to such a mean.

    Cost: one forward pass per row; to fit, one per trusted row.
    """

    def fit(self, model: Model, trusted: Batches) -> Score:
        z, _ = trusted_features(model, trusted, ANSWER)
        p = z.softmax(1)
        classes, own = z.argmax(1).unique(return_inverse=True)
        zero = p.new_zeros(len(classes), p.shape[1])
        typical = (zero.index_add(0, own, p) / own.bincount()[:, None]).clamp(min=1e-300).log()

        def divergence(z: Tensor) -> Tensor:
            logs = z.log_softmax(1)
            inner = torch.special.entr(logs.exp()).sum(1)
            least: Tensor = (-inner[:, None] - logs.exp() @ typical.T).amin(1)
            return least

        return Judged(model, ANSWER, divergence)


@register("detector", cites="ood-scores")
@settings
class Energy(Detector):
    """Trusts inputs with large logits: minus the temperature times their logsumexp.

    Up to a constant this is the energy of the input in the model read as a density; unlike
    the largest probability it still tells apart inputs of equal confidence.

    Cost: one forward pass per row, none to fit.

    Args:
        temperature: the logits are divided by it.
    """

    temperature: Positive = 1.0

    def fit(self, model: Model, trusted: Batches) -> Score:
        t = self.temperature
        return Judged(model, ANSWER, lambda z: -t * torch.logsumexp(z / t, 1))
