"""Defences fitted on trusted rows: what a model answers to them, and how logits are replaced."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Outputs, logits
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


def with_logits(out: Outputs, changed: Tensor) -> Outputs:
    """Outputs with other logits; what stands beside them stays."""
    if isinstance(out, Tensor):
        return changed
    made = getattr(type(out), "_make", type(out))
    replaced: Outputs = made((changed, *out[1:]))
    return replaced


def likeliest(
    change: Callable[[Tensor], Tensor], start: Tensor, y: Tensor, decay: float, steps: int
) -> Tensor:
    """Weights at which changed logits make labels most likely, by L-BFGS.

    Args:
        change: weights -> logits `(n, K)`, linear, so that the loss is convex.
        start: weights at which nothing is changed.
        y: `(n,)` labels.
        decay: weight of the squared distance from the start.
        steps: at most so many iterations.
    """
    w = start.clone().requires_grad_()
    step = torch.optim.LBFGS([w], max_iter=steps, line_search_fn="strong_wolfe",
                             tolerance_grad=1e-9, tolerance_change=1e-15)  # fmt: skip

    def loss() -> Tensor:
        step.zero_grad()
        value = F.cross_entropy(change(w), y) + decay * (w - start).square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        step.step(loss)
    return w.detach()
