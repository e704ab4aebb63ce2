"""Cross-entropy with a price on doubt."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import of_target


@register("loss", cites="adv-power-law")
def entropy_penalized_cross_entropy(
    outputs: Outputs, target: Tensor, *, weight: float = 0.5
) -> Tensor:
    """Cross-entropy plus `weight` times the entropy of the answer: doubt costs.

    It pushes the gaps between logits away from zero, so that fewer rows lie next to a boundary.
    In the paper that lowers the error under the smallest changes only; the confident answers hide
    the gradient of cross-entropy from attacks: judge such a model by its margin
    (`climb="margin"`).

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`.
        weight: price of one nat of entropy.

    Returns:
        `(...)`, in [0, inf); 0 at -100.

    Raises:
        ConfigError: for a negative weight.
    """
    if weight < 0:
        raise ConfigError(
            f"entropy_penalized_cross_entropy: weight must be at least 0, got {weight}",
            fix="Use weight=0.5.",
        )
    logp = logits(outputs).log_softmax(-1)
    entropy = -(logp.exp() * logp).sum(-1, keepdim=True)
    return of_target(weight * entropy - logp, target)
