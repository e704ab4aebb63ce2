"""From the losses of all labels to the loss of the target."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ShapeError
from holdfast.core.labels import named


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
    return minus_of_target(-losses, target)


def minus_of_target(scores: Tensor, target: Tensor) -> Tensor:
    """The same, given the losses with their signs turned (log-probabilities, say).

    Args:
        scores: `(..., K)`, minus one loss per label.
        target: as for `of_target`.

    Raises:
        ShapeError: for a target of another form; E0210 where a label names no output.
    """
    if target.is_floating_point() and target.shape == scores.shape:
        return -(scores * target.to(scores)).sum(-1)
    if target.shape == scores.shape[:-1] and target.is_floating_point():
        named(target, scores.shape[-1], "loss")
    if target.shape != scores.shape[:-1]:
        raise ShapeError(
            f"loss: outputs {tuple(scores.shape)} and {target.dtype} target {tuple(target.shape)}",
            fix="Give labels (...) or label shares (..., K) for outputs (..., K).",
        )
    flat = target.dim() == 1
    rows = scores if flat else scores.reshape(-1, scores.shape[-1])
    labels = (target if flat else target.reshape(-1)).long()
    try:  # One operation forward and one back; autocast would hand on another type.
        found = F.nll_loss(rows, labels, ignore_index=UNLABELLED, reduction="none").to(scores.dtype)
    except IndexError:  # looked at only now: a look in each step would wait for the device
        named(labels, scores.shape[-1], "loss")
        raise
    return found if flat else found.view(target.shape)
