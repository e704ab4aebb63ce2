"""Cross-entropy with a price on the size of the logits."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import of_target


@register("loss", cites="spectral-decoupling")
def spectral_decoupling(
    outputs: Outputs, target: Tensor, *, weight: float = 0.003, centre: float = 0.0
) -> Tensor:
    """Cross-entropy plus half of `weight` times the squared length of the logits.

    With cross-entropy alone, features that lower the loss fast make every answer sure, and with
    the error the slope of all other features vanishes: they starve. With a price on the logits the
    fixed points of the features no longer depend on one another, and weak features are learned
    as far as strong ones. Leave weight decay at 0 with it.

    Args:
        outputs: logits `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`.
        weight: price of the squared length.
        centre: where logits cost nothing.

    Returns:
        `(...)`, in [0, inf); 0 at -100.

    Raises:
        ConfigError: for a negative weight.
    """
    if weight < 0:
        raise ConfigError(
            f"spectral_decoupling: weight must be at least 0, got {weight}", fix="Use weight=0.003."
        )
    z = logits(outputs)
    price = weight / 2 * (z - centre).square().sum(-1, keepdim=True)
    return of_target(price - z.log_softmax(-1), target)
