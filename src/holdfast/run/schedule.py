"""How the learning rate changes over a run."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "linear", "onecycle", "slowfast"]


def rate(schedule: Schedule, step: int, total: int, warmup: float) -> float:
    """The learning rate of a step as a share of the rate that was set.

    Constant stays at 1; linear falls to 0; cosine falls along half a period; onecycle climbs
    along half a period from 1/25 during the first 30 % (or `warmup`) and then falls along
    another; slowfast starts at 1/10000, climbs linearly during the first 30 % (or `warmup`) and
    falls exponentially to 1/1000. Before the others, `warmup` lets the rate grow linearly, never
    from 0.

    Args:
        schedule: the form.
        step: number of the step, from 0.
        total: steps of the whole run.
        warmup: share of the run during which the rate grows, in [0, 1].
    """
    climb = (warmup or 0.3) if schedule in ("onecycle", "slowfast") else warmup
    rising = climb * total
    if step < rising:
        if schedule == "onecycle":
            return 0.04 + 0.96 * (1 - math.cos(math.pi * step / rising)) / 2
        if schedule == "slowfast":
            return max(step / rising, 1e-4)
        return (step + 1) / (math.floor(rising) + 1)
    left = 1 - (step - rising) / max(total - rising, 1)
    if schedule == "constant":
        return 1.0
    if schedule == "slowfast":
        return float(1000 ** (left - 1))
    return left if schedule == "linear" else (1 - math.cos(math.pi * left)) / 2
