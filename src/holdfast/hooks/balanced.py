"""Groups that count alike, however few rows they have."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Share, settings
from holdfast.core.kinds import Hook, Run


@register("hook", cites="trustworthy-causal-survey", says="Groups of a batch count alike.")
@settings
class BalancedGroups(Hook):
    """Rows weigh inversely to the size of their group, so that every group counts alike.

    The simplest of the methods that reweigh rows: what goes together with the label in most rows
    does so no more once each group counts as much as any other, so a shortcut gains nothing. Groups
    are those of the data (`Batches.group`), counted over the batches seen so far; without them
    nothing changes.

    Args:
        amount: how far the weights go from equal ones (0) to those of equal groups (1).
    """

    neutral: ClassVar[dict[str, Any]] = {"amount": 0.0}

    amount: Share = 1.0

    def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor | None:
        if batch.group is None or not self.amount or not len(losses):
            return None
        seen = run.memory(self).get("seen", torch.zeros(0))
        here = batch.group.detach().cpu().bincount(minlength=len(seen)).double()
        seen = here + torch.nn.functional.pad(seen.double(), (0, len(here) - len(seen)))
        run.memory(self)["seen"] = seen
        rare = (1 / seen.to(losses.device)[batch.group]).to(losses.dtype)
        return (1 - self.amount) + self.amount * rare / rare.mean()
