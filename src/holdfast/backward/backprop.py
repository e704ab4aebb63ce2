"""Gradients by reverse accumulation."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import settings
from holdfast.core.kinds import Backward, Objective, Run


@register("backward", cites="rumelhart1986learning", says="The gradient of the mean objective.")
@settings
class Backprop(Backward):
    """Back-propagation: adds the gradient of the mean objective to what `.grad` holds.

    Adding instead of replacing is what lets several batches make one step; the loop clears
    gradients before each. Shares, penalties and scaling are already in the numbers that the
    loop's objective hands over.

    Cost: one backward pass over what the objective computed.
    """

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor:
        losses = objective(run, batch)
        # What the mean would hand back to every row, without two more operations.
        losses.backward(torch.full_like(losses, 1 / max(len(losses), 1)))
        return losses.detach()
