"""Adversarial training for the price of one or two ordinary passes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.attacks.climb import slopes
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.fields import NonNegative, Part, Positive, settings
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Loss, Objective, Run, Threat
from holdfast.core.quiet import quiet
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import LargestLoss, Mode, goal_of
from holdfast.objectives.supervised import per_row
from holdfast.run.second_look import kept
from holdfast.run.weighted import frozen_statistics
from holdfast.threats.norms import LInf


@register("objective", cites="fast-at", name="fast-at", says="The loss after one step uphill.")
@settings
class FastAdversarialTraining(Objective):
    """Fast adversarial training: the loss after a random start and one step uphill.

    One step is enough as long as the loss is nearly linear within the threat; when the model
    learns to bend it there, robustness is lost within an epoch (`hook:robust-selection` sees
    it). Three cures: a larger start that is not brought back into the threat (N-FGSM: `noise=2,
    travel=1, bounded=False`), a price on slopes that differ between an input and a point beside
    it (GradAlign: `align=0.2`), and stopping.

    Cost per batch: two forward and backward passes; GradAlign adds two forwards and two backward
    passes, one through the other.

    Args:
        threat: which changes are admissible.
        loss: between outputs and labels.
        travel: length of the step in radii.
        noise: radius of the random start, in radii; 0 starts without a change.
        bounded: bring the result back into the threat; else only valid inputs bound it.
        align: weight of `1 - cos` between the slopes at the input and at a random change.
        mode: mode of the model during the step.
    """

    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:cross-entropy"
    travel: Positive = 1.25
    noise: NonNegative = 1.0
    bounded: bool = True
    align: NonNegative = 0.0
    mode: Mode = "train"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat, loss = tensor_of(batch), resolve(self.threat), resolve(self.loss)
        goal = LargestLoss(goal_of(batch.y))
        change = kept(run, "attack", lambda: self._step(run, x, goal, threat))
        outputs = logits(threat.through(run.model, x, change))
        attacked = per_row(loss(outputs, batch.y), batch.y)
        if not self.align:
            return attacked
        away = threat.sample(x, run.dice.spawn("align"))
        return attacked + self.align * misalignment(run, x, batch.y, threat, away)

    def _step(self, run: Run, x: Tensor, goal: Goal, threat: Threat) -> Tensor:
        """The change after one step; the model is left as found."""
        start = threat.scaled(self.noise).sample(x, run.dice.spawn("attack"))
        with quiet(run.model), torch.autocast(x.device.type, enabled=False):
            if self.mode == "eval":
                run.model.eval()
            slope = slopes(run.model, x, goal, threat, start).gradient
        moved = start + self.travel * threat.steepest(x, start, slope)
        reach = threat if self.bounded else threat.scaled(self.noise + self.travel)
        return reach.project(x, moved).detach()


def misalignment(run: Run, x: Tensor, y: Tensor, threat: Threat, away: Tensor) -> Tensor:
    """`(B,)`: one minus the cosine between the loss's slopes at no change and at another one.

    0 where the loss is linear between them, or flat. Slopes are those of the logsumexp of the
    ways to win, which point as those of the cross-entropy do and do not round to zero.
    Differentiable in the weights; running statistics do not count these passes.

    Args:
        run: whose model is looked at, in its present mode.
        x: inputs.
        y: labels.
        threat: how changes act.
        away: the other change.
    """
    goal = LargestLoss(goal_of(y))
    slopes: list[Tensor] = []
    with frozen_statistics(run.model, True), torch.autocast(x.device.type, enabled=False):
        for change in (threat.none(x), away):
            moved = change.detach().requires_grad_()
            height = goal.soft(threat.through(run.model, x, moved)).sum()
            slope: Any = torch.autograd.grad(height, moved, create_graph=True)[0]
            slopes.append(slope.flatten(1))
    units = [F.normalize(s, dim=1, eps=1e-30) for s in slopes]
    flat = torch.stack([(s.detach() == 0).all(1) for s in slopes]).any(0)
    return (1 - (units[0] * units[1]).sum(1)).masked_fill(flat, 0.0)
