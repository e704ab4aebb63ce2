"""Losses that symmetric label noise cannot bend: normalised cross-entropy and its partner."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import of_target


@register("loss", cites="apl")
def normalized_cross_entropy(outputs: Outputs, target: Tensor) -> Tensor:
    """Cross-entropy as a share of the cross-entropies to all labels.

    The losses of the K labels add up to one. That symmetry makes it robust: label noise that is
    uniform and below (K - 1) / K only scales and shifts the expected loss. Needs two classes or
    more to say anything.

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`.

    Returns:
        `(...)`, in [0, 1]; 0 at -100.
    """
    logp = logits(outputs).log_softmax(-1)
    return of_target(logp / logp.sum(-1, keepdim=True), target)


@register("loss", cites="apl")
def active_passive(
    outputs: Outputs, target: Tensor, *, active: float = 1.0, passive: float = 1.0
) -> Tensor:
    """Normalised cross-entropy to fit the label, plus absolute error to push off the others.

    The first term alone is robust but underfits; the second brings the gradient back without
    losing the symmetry, since the absolute errors of the K labels add up to 2 (K - 1). Reverse
    cross-entropy, A (1 - p) of the label's probability p where log 0 counts as -A, is the same
    partner with another weight: `passive = weight * A / 2`.

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`.
        active: weight of normalised cross-entropy, at least 0.
        passive: weight of absolute error, at least 0.

    Returns:
        `(...)`, in [0, active + 2 passive]; 0 at -100.

    Raises:
        ConfigError: for a negative weight.
    """
    if not (active >= 0 and passive >= 0):
        raise ConfigError(
            f"active_passive: weights must not be negative, got {active} and {passive}",
            fix="Use active=1, passive=1.",
        )
    away = 2 * (1 - logits(outputs).softmax(-1))
    fits = normalized_cross_entropy(outputs, target)
    return active * fits + passive * of_target(away, target)
