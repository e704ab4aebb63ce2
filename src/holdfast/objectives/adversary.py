"""The adversary inside training: it wants the largest loss and is never content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.catalog import resolve
from holdfast.core.dice import Dice
from holdfast.core.endless import Endless, LargestLoss
from holdfast.core.goal import Goal, Outputs, Pixels, Untargeted, logits
from holdfast.core.kinds import Attack, Run, Threat
from holdfast.core.quiet import quiet
from holdfast.run.second_look import kept

__all__ = [
    "Departure", "Endless", "LargestLoss", "Mode", "divergence", "goal_of", "sought", "worst",
]  # fmt: skip

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
    if y.is_floating_point() and y.dim() > 1:
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


def sought(
    run: Run,
    attack: Attack | str,
    x: Tensor,
    goal: Callable[[], Goal],
    threat: Threat,
    mode: Mode = "eval",
    *,
    model: nn.Module | None = None,
    name: str = "attack",
) -> Tensor:
    """The change to train on: the worst one, or in a second look what the first one found.

    Args:
        run: under way.
        attack: how to look.
        x: inputs.
        goal: gives what to maximise; asked only where the search is made.
        threat: what is admissible.
        mode: of the model meanwhile.
        model: under attack, if it is not the run's own.
        name: of the search among those of one step; its draws are this part of the run's dice.
    """
    net, dice = run.model if model is None else model, run.dice.spawn(name)
    return kept(run, name, lambda: worst(resolve(attack), net, x, goal(), threat, dice, mode))
