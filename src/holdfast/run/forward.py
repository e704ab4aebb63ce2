"""Outputs of a model over a data set, batch by batch, without gradients or side effects."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.labels import named, one_each
from holdfast.core.quiet import quiet
from holdfast.ops.batch import Inputs, chunks, rows, take


def outputs(model: Model, x: Inputs, *, size: int = 256) -> Tensor:
    """`(B, ...)` logits of all rows, on the CPU.

    Args:
        model: inputs -> logits first.
        x: all inputs, rows first; an empty input is passed on once.
        size: rows per pass.

    Cost: one forward per row.
    """
    with quiet(model), torch.no_grad():
        parts = [logits(model(take(x, part))).detach().cpu() for part in chunks(rows(x), size)]
        return torch.cat(parts) if parts else logits(model(x)).detach().cpu()


def labelled(batches: Batches) -> Tensor:
    """`(B,)` bool: rows whose label counts."""
    return batches.y != -100


def correct(logit: Tensor, y: Tensor) -> Tensor:
    """`(B,)` bool: strictly the largest logit is the label's; a tie or a NaN is not correct.

    Raises:
        ShapeError: where a label is not the number of an output.
    """
    one_each(y, "accuracy")
    named(y, logit.shape[1], "accuracy")
    known = y.clamp(min=0)[:, None]
    own = logit.gather(1, known)
    rest = logit.scatter(1, known, -torch.inf).amax(1, keepdim=True)
    return (own > rest).squeeze(1) & logit.isfinite().all(1)
