"""How far the nearest boundary is if the model were linear."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.goal import Goal
from holdfast.core.inputs import with_slope
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet

SMALL = 1e-3  # of a radius: so short a step meets no wall but those that the input touches


def linear_distance(model: Model, x: Tensor, goal: Goal, threat: Threat) -> Tensor:
    """`(B,)`: radii after which the first way to win succeeds if every way were linear.

    The margin of each way at no change, over its rise per radius along the steepest step that is
    admissible: for a norm ball its gap over the dual norm of the gap's gradient, without the
    coordinates that the box keeps from going that way. Infinite where no way rises, at most 0
    where the row is lost already.

    Args:
        model: inputs -> outputs.
        x: inputs `(B, ...)`.
        goal: what the adversary wants of them.
        threat: the set of changes; its radius is the unit of the answer.

    Raises:
        Unsupported: if no gradient reaches the change.

    Cost: one forward pass and one backward pass per way.
    """
    with quiet(model), torch.enable_grad():
        none, tiny = threat.none(x).detach(), threat.scaled(SMALL)
        change = none.clone().requires_grad_()
        ways = goal.ways(threat.through(model, x, change))
        with_slope(ways, f"the distance under {threat.spec}")
        best = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        for j in range(ways.shape[1]):
            way = ways[:, j]
            (slope,) = torch.autograd.grad(
                way[way.isfinite()].sum(), change, retain_graph=True, allow_unused=True
            )
            if slope is None:
                continue
            step = tiny.project(x, none + tiny.steepest(x, none, slope))
            rise = (slope * step).flatten(1).double().sum(1) / SMALL
            radii = torch.where(rise > 0, -way.detach().double() / rise, torch.inf)
            best = torch.minimum(best, torch.where(way.isfinite(), radii, torch.inf))
    return best.detach()
