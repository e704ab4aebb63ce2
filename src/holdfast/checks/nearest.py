"""How much of a winning change is needed? A search along the way from no change to it."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.ops.batch import chunks

_CHUNK = 256


def nearest(
    model: Model, x: Tensor, goal: Goal, threat: Threat, change: Tensor, rounds: int = 7
) -> Tensor:
    """`(B,)` size, in radii, of the smallest part of each change that still wins.

    Halving keeps a part that was seen to win, so the size is an upper bound of the row's true
    distance in this direction, whatever the model does in between; it is within 2^-rounds of a
    crossing. Where the change does not win, its own size is returned.

    Args:
        model: the function under test.
        x: rows.
        goal: of the adversary.
        threat: whose changes they are.
        change: winning changes, rows first.
        rounds: halvings.

    Cost: `rounds` forwards per row.
    """
    parts = [torch.empty(0)]
    with quiet(model), torch.no_grad():
        for part in chunks(len(x), _CHUNK):
            rows = torch.arange(len(x))[part]
            parts.append(_nearest(model, x[part], goal.take(rows), threat.take(rows),
                                  change[part], rounds))  # fmt: skip
    return torch.cat(parts)


def _nearest(
    model: Model, x: Tensor, goal: Goal, threat: Threat, change: Tensor, rounds: int
) -> Tensor:
    shape = (len(x), *[1] * (change.dim() - 1))
    below = torch.zeros(shape, dtype=change.dtype, device=change.device)
    wins = torch.ones_like(below)
    none = threat.none(x)
    for _ in range(rounds):
        middle = (below + wins) / 2
        moved = threat.project(x, none + middle * (change - none))
        won = ~(goal(threat.through(model, x, moved)) < 0).view(shape)
        wins, below = torch.where(won, middle, wins), torch.where(won, below, middle)
    return threat.size(x, threat.project(x, none + wins * (change - none))).float().cpu()
