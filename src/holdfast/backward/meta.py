"""Weights from which each task is a few steps away."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Count, Positive, settings
from holdfast.core.kinds import Backward, Objective, Run


@register(
    "backward", cites="intact", name="first-order-maml",
    says="The gradient behind a few steps on each task, so that every task is near.",
)  # fmt: skip
@settings
class FirstOrderMAML(Backward):
    """First-order meta-learning: each task adapts the weights, and is judged where it arrives.

    The rows of each group are a task: every other one supports, the rest ask. From the weights a
    few plain steps go down the loss of the supporting rows; there the gradient of the asking rows
    is taken, and the weights are put back. The mean over tasks is what is handed on; curvature is
    left out. Without groups the batch is one task; a task of a single row supports and asks.

    The losses that come back are those before any step.

    Cost per task: `steps + 1` passes over the whole batch, of which its rows go back.

    Args:
        steps: of adaptation.
        rate: their length, as a factor of the gradient.
    """

    steps: Count = 3
    rate: Positive = 0.01

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor:
        weights = [p for m in (run.model, run.parts) for p in m.parameters() if p.requires_grad]
        before = [p.detach().clone() for p in weights]
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights]
        group = torch.zeros_like(batch.index) if batch.group is None else batch.group
        losses = torch.zeros(0)
        for task in group.unique().tolist():
            rows = (group == task).nonzero()[:, 0]
            support, query = rows[::2], rows[1::2] if len(rows) > 1 else rows
            for _ in range(self.steps):
                reached = self._slope(run, batch, objective, support, weights)
                losses = losses if len(losses) else reached
                with torch.no_grad():
                    for p in weights:
                        p.sub_(0 if p.grad is None else self.rate * p.grad)
            self._slope(run, batch, objective, query, weights)
            with torch.no_grad():
                for total, p, start in zip(found, weights, before, strict=True):
                    if p.grad is not None:
                        total.add_(p.grad, alpha=len(rows) / len(group))
                    p.copy_(start)
        for p, total in zip(weights, found, strict=True):
            p.grad = total
        return losses

    def _slope(
        self, run: Run, batch: Batch, objective: Objective, rows: Tensor, weights: Sequence[Tensor]
    ) -> Tensor:
        """`(B,)` losses; the gradient of the mean over some rows is left in the weights."""
        for p in weights:
            p.grad = None
        losses = objective(run, batch)
        losses[rows].mean().backward()
        return losses.detach()
