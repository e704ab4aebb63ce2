"""From the losses of all labels to the loss of the target."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ShapeError


def of_target(losses: Tensor, target: Tensor) -> Tensor:
    """The loss of each target, given the losses of all labels.

    Args:
        losses: `(..., K)`, one loss per label.
        target: `(...)` labels, -100 where there is none; or `(..., K)` shares of the labels,
            whose losses are then mixed in these shares.

    Returns:
        `(...)`, 0 at -100.

    Raises:
        ShapeError: if the target is neither.
    """
    if target.is_floating_point() and target.shape == losses.shape:
        return (losses * target.to(losses)).sum(-1)
    if target.is_floating_point() or target.shape != losses.shape[:-1]:
        raise ShapeError(
            f"loss: outputs {tuple(losses.shape)} and {target.dtype} target {tuple(target.shape)}",
            fix="Give labels (...) or label shares (..., K) for outputs (..., K).",
        )
    missing = target == UNLABELLED
    labels = target.masked_fill(missing, 0).long()
    return losses.gather(-1, labels[..., None]).squeeze(-1).masked_fill(missing, 0.0)
