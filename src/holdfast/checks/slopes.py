"""Signs in the slopes: are they there, do they lead up, do they keep their promise?"""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks import climb
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Model, Threat
from holdfast.measures.model.imbalance import imbalance

STEP, PARTS = 0.1, 4  # length of a step in radii, and the parts in which it is looked at
TOLERATED = 0.1  # share of rows that may lie where an honest net is flat (units all off)
KEPT = 0.5  # share of the promised rise that an honest net keeps on half of the rows
RATIO = 3.0  # of the two slopes in a margin, from which they are out of balance
FEW = 8  # rows below which a median says nothing
JUMPING = 0.05  # share of rows
Sign = tuple[str, bool, str, str]


def rounding(z: Tensor) -> Tensor:
    """`(B,)`: differences of margins that rounding alone may make."""
    return 64 * torch.finfo(z.dtype).eps * z.detach().abs().flatten(1).amax(1).nan_to_num()


def slopes(model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice) -> list[Sign]:
    """The margin must have a slope at a random change, and rise by a small step along it.

    Cost: seven forwards and four backwards per row.

    Raises:
        Unsupported: if no gradient reaches the change.
    """
    flat = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for stream in ("here", "there"):
        change = threat.sample(x, dice.spawn(stream))
        before, gradient, _ = climb.slopes(model, x, goal, threat, change, climb="margin")
        flat &= gradient.flatten(1).abs().amax(1) == 0
    whole = threat.project(x, change + STEP * threat.steepest(x, change, gradient)) - change
    way = []
    with torch.no_grad():
        for part in range(1, PARTS + 1):
            z = logits(threat.through(model, x, change + whole * (part / PARTS)))
            way.append(goal(z) - before)
    promised = (whole * gradient).flatten(1).sum(1)
    promised = torch.where(promised > rounding(z), promised, 0.0)
    return [*_judged(flat, way[-1], promised), _jumps(torch.stack(way), promised),
            *imbalanced(model, x, goal, threat, change)]  # fmt: skip


def _judged(flat: Tensor, gained: Tensor, promised: Tensor) -> list[Sign]:
    """What the slopes promised and what came of it."""
    n, level = len(flat), int(flat.sum())
    up, down = int((gained > 0).sum()), int((gained < 0).sum())
    steep = promised > 0
    kept = (gained[steep] / promised[steep]).nan_to_num(-1.0)
    middle = float(kept.median()) if len(kept) else 1.0
    return [
        (
            "slopes exist",
            level <= TOLERATED * n,
            f"the slope is exactly zero or not finite on {level} of {n} rows",
            "slopes straight through what hides them",
        ),
        (
            "slopes lead up",
            down <= max(up / 2, 1),
            f"a small step along the slope raises the margin of {up} rows and lowers {down}",
            "differences instead of slopes",
        ),
        (
            "slopes keep their promise",
            len(kept) < FEW or KEPT <= middle <= 1 / KEPT,
            f"half of the rows rise by less than {middle:.2g} of what their slope promised",
            "slopes averaged over nearby points",
        ),
    ]


def _jumps(way: Tensor, promised: Tensor) -> Sign:
    """Whether the margin jumps: nearly all that came unpromised comes in one part of the way.

    Along a step in equal parts, kinks and curvature share out what they do; a jump does not.
    """
    shares = torch.arange(1, PARTS + 1, device=way.device).to(way)[:, None] / PARTS
    off = torch.cat([torch.zeros_like(way[:1]), way - shares * promised])
    part = off.diff(dim=0).abs().amax(0)
    jump = (promised > 0) & (part > promised / 2) & (part > 0.7 * off[-1].abs())
    count = int(jump.sum())
    return (
        "margins do not jump",
        count <= max(JUMPING * len(jump), 1),
        f"the margin of {count} of {len(jump)} rows jumps within a short step",
        "slopes averaged over nearby points, and queries",
    )


def imbalanced(model: Model, x: Tensor, goal: Goal, threat: Threat, change: Tensor) -> list[Sign]:
    """Whether one of the two terms of the margin hides the other on most rows."""
    y = getattr(goal, "y", None)
    if y is None:
        return []
    ratio = imbalance(lambda c: threat.through(model, x, c), change, y)
    high = int((ratio > RATIO).sum())
    return [
        (
            "slopes in balance",
            high <= max(len(ratio) / 2, 1),
            f"one of the two slopes in the margin is {RATIO:g} times the other on {high} of "
            f"{len(ratio)} rows",
            "one term of the margin first (attack:md), then all of it",
        )
    ]
