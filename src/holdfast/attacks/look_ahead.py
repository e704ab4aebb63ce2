"""The point that momentum is about to reach: where it lies, and what it is worth if it wins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.state import State
from holdfast.core.kinds import Threat
from holdfast.ops.batch import fit, pick
from holdfast.ops.geometry import room
from holdfast.threats.ball import Additive

_EDGE = 1 + 1e-6  # size up to which a point lies on the edge of its threat, but for rounding


@dataclass
class Path(State):
    """What belongs to each row of a transfer attack on its way."""

    change: Tensor
    memory: Tensor  # the decayed sum of gradients
    point: Tensor  # at which gradients are taken
    slope: Tensor  # their sum so far
    mixed: Tensor  # (A, n, ...) what is mixed in, one in each copy; n = 0 for nothing

    def keep(self, stay: Tensor | None) -> None:
        """Keep the rows that stay; None: all."""
        if stay is not None:
            self.take(stay)


def ahead(threat: Threat, x: Tensor, change: Tensor, memory: Tensor, reach: float) -> Tensor:
    """The change ahead of another one, as far as the model sees it: no further than the box.

    Args:
        threat: of the rows.
        x: `(A, ...)` inputs.
        change: where they stand.
        memory: the decayed sum of gradients, which is to be as long as the next step.
        reach: length of the lead, in radii.
    """
    step = threat.steepest(x, change, memory).flatten(1).abs().mean(1)
    point = change + fit(step, memory) * memory * reach
    if isinstance(threat, Additive):
        down, up = room(x, threat.low, threat.high)
        point = torch.minimum(torch.maximum(point, down), up)
    return pick(threat.size(x, point) <= _EDGE, threat.project(x, point), point)


def kept(active: Active, point: Tensor, margin: Tensor, plain: Tensor) -> Tensor | None:
    """Remember a point ahead where it lies inside the threat; which rows stay.

    Args:
        active: the rows.
        point: a change of each, which may be too large.
        margin: `(A,)` as it was seen there.
        plain: `(A,)` bool, whether what was seen was the point itself.
    """
    sure = plain & (active.threat.size(active.x, point) <= _EDGE)
    if active.coupled:
        sure = sure.all().expand_as(sure)
    return active.see(point, torch.where(sure, margin, -torch.inf))
