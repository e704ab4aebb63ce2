"""Between cross-entropy and absolute error."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import of_target


@register("loss", cites="gce")
def generalized_cross_entropy(outputs: Outputs, target: Tensor, *, power: float = 0.7) -> Tensor:
    """`(1 - p^q) / q` of the label's probability p: cross-entropy at q -> 0, 1 - p at q = 1.

    Its gradient is that of cross-entropy times p^q, so rows whose label the model finds absurd
    pull little. The losses of the K labels add up to a number between `(K - K^(1-q)) / q` and
    `(K - 1) / q`, which bounds what uniform label noise can do. Computed from the logarithm of
    p: no probability is ever clipped.

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`.
        power: q, in (0, 1]; larger bears more noise and learns more slowly.

    Returns:
        `(...)`, in [0, 1 / q]; 0 at -100.

    Raises:
        ConfigError: for a power outside (0, 1].
    """
    if not 0 < power <= 1:
        raise ConfigError(
            f"generalized_cross_entropy: power must lie in (0, 1], got {power}",
            fix="Use power=0.7.",
        )
    logp = logits(outputs).log_softmax(-1)
    return of_target(-torch.expm1(power * logp) / power, target)
