"""The adversary inside training: it wants the largest loss and is never content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.dice import Dice
from holdfast.core.endless import Endless, LargestLoss
from holdfast.core.goal import Goal, Outputs, Pixels, Untargeted, logits
from holdfast.core.kinds import Attack, Threat
from holdfast.core.quiet import quiet

__all__ = ["Departure", "Endless", "LargestLoss", "Mode", "divergence", "goal_of", "worst"]

Mode = Literal["eval", "train"]


@dataclass(frozen=True, eq=False)
class Departure(Endless):
    """The change that moves the predicted distribution furthest from a fixed one.

    The height is the Kullback-Leibler divergence from the fixed distribution.

    Args:
        logp: `(B, ..., K)` log-probabilities to move away from.
    """

    logp: Tensor

    def soft(self, outputs: Outputs) -> Tensor:
        return divergence(self.logp, logits(outputs).log_softmax(-1))

    def take(self, rows: Tensor | slice) -> Departure:
        return Departure(self.logp[rows])


def divergence(logp: Tensor, logq: Tensor) -> Tensor:
    """`(B,)`: KL(p || q) of two sets of log-probabilities, averaged over further positions."""
    each = F.kl_div(logq, logp, reduction="none", log_target=True).sum(-1)
    return each if each.dim() == 1 else each.flatten(1).mean(1)


def goal_of(y: Tensor) -> Goal:
    """What an adversary wants, from labels of rows or positions, or from label shares."""
    if y.is_floating_point():
        y = y.argmax(-1)
    return Untargeted(y) if y.dim() == 1 else Pixels(y)


def worst(
    attack: Attack, model: nn.Module, x: Tensor, goal: Goal, threat: Threat, dice: Dice, mode: Mode
) -> Tensor:
    """The change that an attack finds, for training on; the model is left as found.

    Parameters get no gradient, mode and running statistics come back, half precision is off
    (the sign of a gradient that was rounded to zero is no direction), and the change is
    projected into the threat whatever the attack returns.

    Args:
        attack: how to look.
        model: under training.
        x: inputs.
        goal: what to maximise.
        threat: what is admissible.
        dice: draws of these rows.
        mode: whether the model runs in evaluation or in training mode meanwhile.
    """
    with quiet(model), torch.autocast(x.device.type, enabled=False):
        if mode == "eval":
            model.eval()
        change = attack(model, x, goal, threat, dice=dice)
        return threat.project(x, change).detach()
