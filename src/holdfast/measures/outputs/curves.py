"""Learning curves: where they level off, how soon, and how soon again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

SHARE, WIDEST, NARROWEST = 0.2, 100, 3
POOR = 0.2  # of the expert's level: below it, speed means nothing


def smoothed(curve: Tensor) -> Tensor:
    """`(n,)` moving mean over a fifth of the curve, at most 100 values; its ends are reflected."""
    n = len(curve)
    wide = min(int(SHARE * n), WIDEST)
    if wide < NARROWEST:
        return curve
    before, after = (wide - 1) // 2, wide // 2
    long = torch.cat([curve[1 : before + 1].flip(0), curve, curve[-after - 1 : -1].flip(0)])
    return long.unfold(0, wide, 1).mean(1)


def efficiency(curve: Tensor, expert: Tensor) -> float:
    """Level reached times speed, in units of an expert's.

    The level is the maximum of the smoothed curve, the speed one over the experiences until it.
    Zero for a learner that stays below a fifth of the expert's level or gets worse; NaN where
    one of the two levels off with the first experience.

    Args:
        curve: `(n,)`.
        expert: `(m,)`.
    """
    own, theirs = smoothed(curve), smoothed(expert)
    level, top = float(own.max()), float(theirs.max())
    place = torch.arange(len(curve), dtype=curve.dtype)
    trend = float(((place - place.mean()) * curve).sum())
    if level < POOR * top or trend < 0:
        return 0.0
    mine, other = int(own.argmax()), int(theirs.argmax())
    return level / top * other / mine if mine and other and top else float("nan")


def recovery(curves: Sequence[Tensor]) -> float | None:
    """How many experiences fewer it takes, each time, to regain the level reached before.

    Minus the median slope (Theil and Sen) of the times to recover. A level that is not regained
    within a block takes the whole block. None with fewer than two times.

    Args:
        curves: training blocks of one task.
    """
    from scipy.stats import theilslopes

    times = []
    for before, after in pairwise(curves):
        back = smoothed(after) >= smoothed(before).max()
        times.append(int(back.int().argmax()) if bool(back.any()) else len(after))
    return -float(theilslopes(times).slope) if len(times) > 1 else None
