"""Cross-entropy to labels that leave a little room for the other classes."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import of_target


@register("loss", cites=("label-smoothing", "regularization-robustness-eval"))
def label_smoothing(
    outputs: Outputs,
    target: Tensor,
    *,
    amount: float = 0.1,
    spread: Literal["all", "others"] = "all",
) -> Tensor:
    """Cross-entropy to a label that keeps `1 - amount` and spreads the rest.

    Spread over `all` K classes the label ends with `1 - amount + amount / K`, as in torch; over
    the `others` it has `1 - amount` exactly, which is spreading `amount K / (K - 1)` over all.
    The loss is least where the probabilities equal these shares, so logits stop growing: the
    label leads by a fixed gap. Beyond 0.4 that flattens slopes and deceives attacks on the
    cross-entropy more than it helps: judge such a model by its margin.

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`.
        amount: what the label gives away, in [0, 1).
        spread: to whom.

    Returns:
        `(...)`, at least the entropy of the shares; 0 at -100.

    Raises:
        ConfigError: for an amount outside [0, 1), or one that leaves others more than the label.
    """
    losses = -logits(outputs).log_softmax(-1)
    classes = losses.shape[-1]
    if spread not in ("all", "others"):
        raise ConfigError(
            f"label_smoothing: spread is all or others, got {spread!r}", fix='Use spread="all".'
        )
    given = amount if spread == "all" else amount * classes / max(classes - 1, 1)
    if amount < 0 or not given < 1:
        raise ConfigError(
            f"label_smoothing: amount must lie in [0, 1) and leave the label ahead, got {amount}",
            fix="Use amount=0.1.",
        )
    return of_target((1 - given) * losses + given * losses.mean(-1, keepdim=True), target)
