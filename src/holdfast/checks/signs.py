"""Signs of masked gradients that need no attack: one look at outputs and slopes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.attacks.climb import ascend
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet

STEP = 0.02  # in radii
TOLERATED = 0.1  # share of rows that may lie where an honest net is flat (units all off)


@dataclass(frozen=True)
class SelfCheck:
    """One sign.

    Args:
        name: in two or three words.
        passed: whether the result looks honest.
        says: what was seen, with the numbers.
    """

    name: str
    passed: bool
    says: str


def signs(model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice) -> list[SelfCheck]:
    """Do answers repeat, are they logits of a usable scale, and do they rise anywhere?

    Cost: five forwards and two backwards per row.
    """
    with quiet(model), torch.no_grad():
        first, second = logits(model(x)), logits(model(x))
        margin = goal(first).double()
    found = [_repeats(first, second), _unbounded(first), _scaled(margin, first.dtype)]
    with quiet(model):
        try:
            return found + _slopes(model, x, goal, threat, dice)
        except Unsupported as refused:
            return [*found, SelfCheck("slopes exist", False, f"no gradient: {refused.says}")]


def _repeats(first: Tensor, second: Tensor) -> SelfCheck:
    """Attacks follow slopes and keep the best change; noise fakes the one and spoils the other."""
    size = float(first.abs().nan_to_num(posinf=0.0).max())
    gap = float((first - second).abs().nan_to_num().max())
    return SelfCheck(
        "answers repeat",
        gap <= 1e-4 * max(size, 1e-12),
        f"asked twice, outputs differ by up to {gap:.2g} (largest output {size:.2g})",
    )


def _unbounded(first: Tensor) -> SelfCheck:
    """Probabilities and sigmoids level off where the model is sure; logits never do."""
    inside = bool(((first >= 0) & (first <= 1)).all())
    ones = inside and bool(((first.sum(1) - 1).abs() <= 1e-3).all())
    kind = "probabilities" if ones else "squeezed into [0, 1]"
    says = f"outputs are {kind}: slopes fade where the model is sure" if inside else "no bound seen"
    return SelfCheck("outputs are logits", not inside, says)


def _scaled(margin: Tensor, kind: torch.dtype) -> SelfCheck:
    """exp(margin), the slope of the cross-entropy, must not round to zero on most rows."""
    ahead = -margin[(margin < 0) & margin.isfinite()]
    least = -math.log(torch.finfo(kind).smallest_normal * torch.finfo(kind).eps)
    middle = float(ahead.median()) if len(ahead) else 0.0
    return SelfCheck(
        "loss has a scale",
        middle <= least,
        f"half of the rows are right by more than {middle:.3g} nats"
        + ("; the cross-entropy rounds to zero there" if middle > least else ""),
    )


def _slopes(model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice) -> list[SelfCheck]:
    """The margin must have a slope at a random change, and rise by a small step along it."""
    flat = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for stream in ("here", "there"):
        change = threat.sample(x, dice.spawn(stream))
        before, _, gradient = ascend(model, x, goal, threat, change, climb="margin")
        flat &= gradient.flatten(1).abs().amax(1) == 0
    step = threat.project(x, change + STEP * threat.steepest(x, change, gradient)).detach()
    with torch.no_grad():
        after = goal(threat.through(model, x, step))
    up, down = int((after > before).sum()), int((after < before).sum())
    n, level = len(x), int(flat.sum())
    return [
        SelfCheck(
            "slopes exist",
            level <= TOLERATED * n,
            f"the slope is exactly zero or not finite on {level} of {n} rows",
        ),
        SelfCheck(
            "slopes lead up",
            down <= max(up / 2, 1),
            f"a small step along the slope raises the margin of {up} rows and lowers {down}",
        ),
    ]
