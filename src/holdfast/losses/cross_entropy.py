"""The logarithmic score."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import minus_of_target


@register("loss", cites="good1952rational")
def cross_entropy(outputs: Outputs, target: Tensor) -> Tensor:
    """Minus the logarithm of the probability given to the label.

    The only score that looks at the label's probability alone and is least, on average, exactly
    for the true probabilities.

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`.

    Returns:
        `(...)`, in [0, inf); 0 at -100.
    """
    return minus_of_target(logits(outputs).log_softmax(-1), target)
