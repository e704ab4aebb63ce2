"""How far a certifier reaches: the largest share of a threat that it proves, row by row."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.dice import Dice, dice_or
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat


def certified_radius(
    certifier: Certifier, model: Model, x: Tensor, goal: Goal, threat: Threat, *,
    steps: int = 5, dice: Dice | None = None,
) -> Tensor:  # fmt: skip
    """The largest share of a threat's radius that is proved for each row, by bisection.

    Every number returned was itself proved, so it is a lower bound even where a certifier is not
    monotone. Rows that wait at the same share are certified together.

    Args:
        certifier: any.
        model: the model.
        x: `(B, ...)` inputs.
        goal: of the adversary.
        threat: its radius is the largest looked at.
        steps: halvings; the resolution is `2 ** -steps` of the radius.
        dice: row draws, the same for every share.

    Returns:
        `(B,)` float64 shares in [0, 1]: 1 where the whole threat is proved, 0 where nothing is.

    Cost: `steps + 1` certificates per row.
    """
    rows = dice_or(dice, len(x))
    top = 2**steps

    def proved(index: Tensor, numerator: int) -> Tensor:
        certificate = certifier(
            model, x[index], goal.take(index), threat.scaled(numerator / top).take(index),
            dice=rows.part(index.to(rows.keys.device)),
        )  # fmt: skip
        return certificate.proved.to(x.device)

    everyone = torch.arange(len(x), device=x.device)
    low = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    high = torch.full_like(low, top)
    if len(x):
        low = torch.where(proved(everyone, top), top, low)
    for _ in range(steps):
        middle = (low + high) // 2
        open_rows = high - low > 1
        for numerator in middle[open_rows].unique().tolist():
            index = (open_rows & (middle == numerator)).nonzero().flatten()
            good = proved(index, int(numerator))
            low[index] = torch.where(good, middle[index], low[index])
            high[index] = torch.where(good, high[index], middle[index])
    share: Tensor = low.double() / top
    return share
