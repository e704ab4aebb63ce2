"""What a model answers to trusted rows, for defences that are fitted on them."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ShapeError
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet


def trusted_logits(model: Model, trusted: Batches, who: str) -> tuple[Tensor, Tensor]:
    """Logits `(B, K)` in float64 of the rows with a label and a finite answer, and their labels.

    Args:
        model: in eval mode.
        trusted: rows that the model was not trained on.
        who: named where it fails.

    Raises:
        ShapeError: if no row is left, or logits are not `(B, K)`.

    Cost: one forward pass per row.
    """
    with quiet(model), torch.no_grad():
        outs = [(logits(model(b.x)).double(), b.y) for b in trusted]
    z = torch.cat([o for o, _ in outs]) if outs else torch.zeros(0, 1)
    y = torch.cat([y.to(z.device) for _, y in outs]) if outs else torch.zeros(0).long()
    known = (y != UNLABELLED) & z.isfinite().all(-1)
    if z.dim() != 2 or not bool(known.any()):
        raise ShapeError(
            f"{who}: no labelled row among {len(y)} with logits {tuple(z.shape)}",
            fix="Pass trusted rows with labels and a model that returns logits (B, K).",
        )
    return z[known], y[known]
