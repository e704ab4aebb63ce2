"""One chosen way to win of each row, and which ways are the nearest."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.goal import Goal, Outputs, logits
from holdfast.core.kinds import Model, Threat

_TINY = 1e-12


def way(goal: Goal, outputs: Outputs, chosen: Tensor) -> Tensor:
    """`(B,)`: one chosen way to win of each row."""
    return goal.ways(outputs).gather(1, chosen[:, None]).squeeze(1)


def scaled_way(goal: Goal, outputs: Outputs, chosen: Tensor) -> Tensor:
    """`(B,)`: one chosen way to win of each row, scaled as in the targeted DLR loss.

    With fewer than four classes the scale is undefined and it is the plain way.
    """
    z = logits(outputs).flatten(1)
    ahead = way(goal, outputs, chosen)
    if z.shape[1] < 4:
        return ahead
    top = z.topk(4, 1).values
    return ahead / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + _TINY)


def ranked(
    model: Model, x: Tensor, goal: Goal, threat: Threat, change: Tensor, count: int | None = None
) -> Tensor:
    """`(B, at most count)`: positions of the ways to win at a change, the nearest first.

    Cost: one forward per row.
    """
    with torch.no_grad():
        ways = goal.ways(threat.through(model, x, change))
    return ways.sort(dim=1, descending=True, stable=True).indices[:, :count]
