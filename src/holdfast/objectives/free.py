"""Adversarial training whose changes come from the gradients of training itself."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.fields import Part, Positive, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.supervised import per_row
from holdfast.threats.norms import LInf


@register("objective", cites="fast-at", name="free-at", says="Changes from training's own slopes.")
@settings
class FreeAdversarialTraining(Objective):
    """Free adversarial training: the backward pass that moves the weights moves the change too.

    The change of each place in the batch is kept from step to step, also when the batch changes.
    Every step learns under the change at hand, and its own backward pass then moves the change
    uphill. With `hook:replay` each batch comes several times in a row, so that the change catches
    up with it. The backward pass must be `backward:backprop`.

    Cost per batch: one forward and backward pass, as without an adversary.

    Args:
        threat: which changes are admissible.
        loss: between outputs and labels.
        travel: length of the step in radii.
    """

    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:cross-entropy"
    travel: Positive = 1.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat, memory = tensor_of(batch), resolve(self.threat), run.memory(self)
        kept: Tensor | None = memory.get("change")
        start = threat.none(x)
        if kept is not None and kept.shape[1:] == start.shape[1:]:
            start[: len(kept)] = kept[: len(x)].to(start)
        change = threat.project(x, start).detach().requires_grad_()

        def uphill(slope: Tensor) -> None:
            at = change.detach()
            moved = at + self.travel * threat.steepest(x, at, slope.detach())
            rest = at[:0] if kept is None else kept[len(x) :].to(at)
            memory["change"] = torch.cat([threat.project(x, moved), rest])

        change.register_hook(uphill)
        outputs = logits(threat.through(run.model, x, change))
        return per_row(resolve(self.loss)(outputs, batch.y), batch.y)
