"""Cross-entropy with labels that are a little unsure."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import of_target


@register("loss", cites="regularization-robustness-eval")
def label_smoothing(outputs: Outputs, target: Tensor, *, share: float = 0.1) -> Tensor:
    """Cross-entropy with a label of which a share is spread evenly over all classes.

    The least loss is at finite logits, so a net is not pushed to be ever surer of what it has
    learned, and its confidence stays nearer to its accuracy.

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`.
        share: that is spread, in [0, 1).

    Returns:
        `(...)`, in [0, inf); 0 at -100.

    Raises:
        ConfigError: for a share out of range.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"label_smoothing: share must lie in [0, 1), got {share}")
    wrong = -logits(outputs).log_softmax(-1)
    return of_target((1 - share) * wrong + share * wrong.mean(-1, keepdim=True), target)
