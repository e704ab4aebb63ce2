"""Who plays in a training: each with an objective, weights of its own, and an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from holdfast.core.errors import ConfigError
from holdfast.core.kinds import Objective
from holdfast.run import ranks
from holdfast.run.fused import made
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun


@dataclass(frozen=True)
class Player:
    """Who moves: an objective, the optimizer of its weights, and how often it plays."""

    objective: Objective
    optimizer: Optimizer
    every: int


def seated(
    plan: Training, objectives: Sequence[Objective], run: TrainingRun, device: torch.device
) -> list[Player]:
    """Make the parts and optimizers of a run; the main objective trains what no turn trains.

    Args:
        plan: names the turns and how to make optimizers.
        objectives: the main one, then one per turn.
        run: gets its parts and optimizers.
        device: where the parts go.

    Raises:
        ConfigError: if a turn names something that is neither a part nor a submodule.
    """
    for number, objective in enumerate(objectives):
        more = objective.parts(run.model) if hasattr(objective, "parts") else None
        if more is not None:
            run.parts[f"turn{number - 1}" if number else "objective"] = more.to(device)
    ranks.same_everywhere([run.model, run.parts])
    taken = [_named(run, turn.parts) for turn in plan.turns]
    theirs = {id(p) for group in taken for p in group}
    mine = [p for p in run.parameters() if id(p) not in theirs and p.requires_grad]
    makers = [plan.optimizer, *(turn.optimizer for turn in plan.turns)]
    run.optimizers = [made(make, group) for make, group in zip(makers, [mine, *taken], strict=True)]
    for settings in (s for o in run.optimizers for s in o.param_groups):
        settings.setdefault("initial_lr", settings["lr"])
    every = [1, *(turn.every for turn in plan.turns)]
    return [Player(*each) for each in zip(objectives, run.optimizers, every, strict=True)]


def _named(run: TrainingRun, names: Sequence[str]) -> list[nn.Parameter]:
    found: list[nn.Parameter] = []
    for name in names:
        try:
            part = run.parts[name] if name in run.parts else run.model.get_submodule(name)
        except AttributeError:
            raise ConfigError(
                f"turn: neither the parts nor the model have {name!r}",
                fix=f"Parts are: {', '.join(run.parts) or 'none'}.",
            ) from None
        found += [p for p in part.parameters() if p.requires_grad]
    return found
