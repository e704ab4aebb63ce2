"""Half the squared distance of outputs from the label's corner."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.goal import Outputs, logits
from holdfast.losses.pick import of_target


@register("loss", cites="adv-ntk", name="squared")
def squared_error(outputs: Outputs, target: Tensor) -> Tensor:
    """`|z - e_y|^2 / 2`: outputs are fitted to 1 at the label and 0 elsewhere, without a softmax.

    With it, training a model that is linear in its weights follows a linear differential
    equation, so kernel regression and the theory of wide nets speak of it.

    Args:
        outputs: `(..., K)`.
        target: labels `(...)`, or label shares `(..., K)`, whose losses are mixed.

    Returns:
        `(...)`, at least 0; 0 at -100.
    """
    z = logits(outputs)
    return of_target((z.square().sum(-1, keepdim=True) + 1 - 2 * z) / 2, target)
