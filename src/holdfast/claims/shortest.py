"""The scene that claims about minimum-norm attacks share: digits that a small net gets right."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.claims.small_net import digits, trained
from holdfast.core.catalog import with_settings
from holdfast.core.data import Batches
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Attack, Model
from holdfast.threats.ball import Additive


def flat(rows: Batches) -> Tensor:
    """Images as flat rows."""
    return one_tensor(rows.x, "laying flat").flatten(1)


def scene(seed: int, count: int) -> tuple[nn.Module, Tensor, Untargeted]:
    """A trained net, so many flat test rows that it gets right, and the goal of fooling it."""
    model, test = trained(seed)[1:], digits(seed)[1]
    x = flat(test)
    with torch.no_grad():
        right = (model(x).argmax(1) == test.y).nonzero().flatten()[:count]
    return model, x[right], Untargeted(test.y[right])


def lengths(
    attack: Attack, model: Model, x: Tensor, goal: Untargeted, threat: Additive
) -> tuple[Tensor, float]:
    """Lengths of the smallest changes that an attack finds, infinite where it does not win.

    Returns:
        The lengths, evaluated here and not by the attack, and the share of rows that it won.
    """
    change = with_settings(attack, smallest=True)(model, x, goal, threat)
    with torch.no_grad():
        won = goal(model(threat.apply(x, change))) >= 0
    length = torch.where(won, threat.length(change), torch.inf)
    return length, float(won.double().mean())
