"""Detectors that change the features before the last layer, and read the energy behind it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Inner, Positive, Share, settings
from holdfast.core.kinds import Detector, Model, Score
from holdfast.detect.features import LAST, Judged, trusted_features
from holdfast.detect.head import Head, head

HUGE = 80.0  # exp(80) is far below the largest float64, and above any sensible scale


def _energy(last: Head, found: Tensor, temperature: float) -> Tensor:
    return -temperature * torch.logsumexp(last(found) / temperature, 1)


@register("detector", name="react", cites="ood-scores")
@settings
class ReAct(Detector):
    """Energy of features that are cut off above: foreign inputs drive a few units too high.

    The level is a quantile of all features of trusted rows; at the share one it is their
    maximum, and on trusted rows the score is the plain energy.

    Cost: one forward pass per row; to fit, one per trusted row.

    Args:
        share: of the trusted features that stay as they are.
        temperature: of the energy.
    """

    share: Share = 0.9
    temperature: Positive = 1.0

    def fit(self, model: Model, trusted: Batches) -> Score:
        last, (known, _) = head(model, trusted), trusted_features(model, trusted, LAST)
        level = _level(known.flatten(), self.share)
        return Judged(model, LAST, lambda h: _energy(last, h.minimum(level), self.temperature))


def _level(values: Tensor, share: float) -> Tensor:
    """`(..., 1)` quantile along the last axis; torch.quantile refuses large tensors."""
    ordered = values.sort(-1).values
    place = share * (values.shape[-1] - 1)
    low, high = int(place), min(int(place) + 1, values.shape[-1] - 1)
    start, end = ordered[..., low : low + 1], ordered[..., high : high + 1]
    return start + (place - low) * (end - start)


def shaped(h: Tensor, variant: str, share: float) -> Tensor:
    """Features of each row after pruning the smallest ones; see `ASH`."""
    mask = h >= _level(h, share)
    kept = torch.where(mask, h, 0.0)
    if variant == "scale":
        return h * (h.sum(1) / kept.sum(1).clamp(min=1e-12)).clamp(max=HUGE).exp()[:, None]
    if variant == "prune":
        return kept
    before = h.sum(1, keepdim=True)
    if variant == "binary":
        return torch.where(mask, before / mask.sum(1, keepdim=True), 0.0)
    ratio = before / kept.sum(1, keepdim=True).clamp(min=1e-12)
    return kept * ratio.clamp(max=HUGE).exp()


@register("detector", cites="ood-scores")
@settings
class ASH(Detector):
    """Energy of features of which most are pruned in each row, and the rest scaled up.

    What little a row keeps must carry its class; familiar rows lose less. Variants: `prune`
    only sets the smallest features to zero; `binary` gives the survivors one value, with the
    sum of all; `scale-up` multiplies them by exp(sum before / sum after); `scale` multiplies
    all features by that factor and prunes none (SCALE). Unlike the paper, feature maps are
    pooled before they are pruned.

    Cost: one forward pass per row; to fit, one per trusted row.

    Args:
        share: of the features of a row that is pruned.
        variant: what happens to the others.
        temperature: of the energy.
    """

    share: Inner = 0.65
    variant: Literal["prune", "binary", "scale-up", "scale"] = "scale-up"
    temperature: Positive = 1.0

    def fit(self, model: Model, trusted: Batches) -> Score:
        last, (known, _) = head(model, trusted), trusted_features(model, trusted, LAST)
        if self.variant != "prune" and bool((known < 0).any()):
            raise Unsupported(
                f"ASH {self.variant!r} needs features that are nowhere negative",
                fix="Use variant='prune', or a model with a ReLU before its last layer.",
            )
        return Judged(
            model,
            LAST,
            lambda h: _energy(last, shaped(h, self.variant, self.share), self.temperature),
        )


@register("detector", cites="ood-scores")
@settings
class DICE(Detector):
    """Energy through the weights that matter on trusted rows; the others are noise.

    A weight matters as its product with the mean feature of trusted rows does; only the largest
    products stay in the last layer.

    Cost: one forward pass per row; to fit, one per trusted row.

    Args:
        share: of the weights that is left out.
        temperature: of the energy.
    """

    share: Share = 0.7
    temperature: Positive = 1.0

    def fit(self, model: Model, trusted: Batches) -> Score:
        last, (known, _) = head(model, trusted), trusted_features(model, trusted, LAST)
        product = last.weight * known.mean(0)
        out = int(self.share * product.numel())
        keep = torch.ones(product.numel(), dtype=torch.bool, device=product.device)
        keep[product.flatten().argsort(stable=True)[:out]] = False
        sparse = Head(last.weight * keep.view_as(product), last.bias)
        return Judged(model, LAST, lambda h: _energy(sparse, h, self.temperature))
