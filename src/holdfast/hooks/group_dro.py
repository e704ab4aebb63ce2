"""Groups that count more the worse they are served."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import NonNegative, Share, settings
from holdfast.core.kinds import Hook, Run


@register("hook", cites="group-dro", name="group-dro",
          says="Groups weighed by how badly they are served, step by step.")  # fmt: skip
@settings
class GroupDRO(Hook):
    """Group distributionally robust training: least loss of the worst group, by online weights.

    Every group has a weight; with each batch the weight of a group that is in it grows by the
    factor `exp(step * mean loss of its rows)`, and the mean losses of the groups of the batch
    count by their weights. That is mirror ascent on the weights beside descent on the model, so
    that both come to the best worst group. With step 0 groups count alike. Groups are
    those of the data (`Batches.group`), or the labels where there are none.

    Cost: none. Each process keeps weights of its own.

    Unlike the paper: the weights of the groups that a batch holds add up to 1, so that a batch
    without the worst group does not count less.

    Args:
        step: of the ascent, per unit of the loss.
        amount: how far the weights of rows go from equal ones (0) to those of their groups (1).
    """

    neutral: ClassVar[dict[str, Any]] = {"amount": 0.0}

    step: NonNegative = 0.01
    amount: Share = 1.0

    def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor | None:
        group = batch.y if batch.group is None else batch.group
        if not self.amount or not len(losses) or group.dim() != 1 or group.is_floating_point():
            return None
        kept = run.memory(self).get("logs", torch.zeros(0, dtype=torch.float64))
        known = group.detach().cpu().clamp(min=0)
        count = known.bincount(minlength=len(kept)).double()
        logs = torch.nn.functional.pad(kept.cpu(), (0, len(count) - len(kept)))
        # A group that is seen for the first time starts where the mean of the others stands.
        logs[len(kept) :] = kept.mean().cpu() if len(kept) else 0.0
        total = torch.zeros_like(count).index_add_(0, known, losses.detach().cpu().double())
        here = count > 0
        logs[here] += self.step * total[here] / count[here]
        run.memory(self)["logs"] = logs - logs.max()
        weight = torch.where(here, logs, -torch.inf).softmax(0) / count.clamp(min=1)
        share = (len(losses) * weight[known]).to(losses)
        return (1 - self.amount) + self.amount * share
