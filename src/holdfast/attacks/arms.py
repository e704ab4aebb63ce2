"""What an ascent may climb, one choice per row: the arms of an ensemble."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from holdfast.attacks.ascent import Heights
from holdfast.attacks.climb import Height, margin, other, own, probability, soft, way
from holdfast.core.goal import Goal, Outputs, Targeted, Untargeted

ARMS = ("mixed", "first way", "second way", "other", "probability", "own")
CONTEST = 3  # arms from here on need a goal that is a contest between classes
TURN = 0.4  # share of a run after which a single term gives way to the margin


def arms(goal: Goal, ways: int) -> list[int]:
    """Positions of the arms that make sense for a goal with so many ways to win."""
    some = [0, 1, 2] if ways > 1 else [0]
    return (
        some + list(range(CONTEST, len(ARMS))) if isinstance(goal, Untargeted | Targeted) else some
    )


def mixed(steps: int) -> Heights:
    """All ways together for half of the steps, then the best of them alone."""
    return lambda step, _: soft if 2 * step < steps else margin


def towards(chosen: Tensor) -> Heights:
    """One way per row, all the time."""
    return lambda _, rows: partial(way, chosen=chosen[rows])


def armed(which: Tensor, order: Tensor, steps: int) -> Heights:
    """One arm per row.

    Args:
        which: `(R,)` positions in `ARMS`.
        order: `(R, W)` ways to win, the most promising first.
        steps: of the ascent.
    """

    def heights(step: int, rows: Tensor) -> Height:
        return partial(_armed, which=which[rows], order=order[rows], share=step / steps)

    return heights


def _armed(goal: Goal, outputs: Outputs, which: Tensor, order: Tensor, share: float) -> Tensor:
    """`(B,)`: what each row climbs after that share of its run."""
    plain = margin(goal, outputs)
    known = [soft(goal, outputs) if share < 0.5 else plain]
    known += [way(goal, outputs, order[:, min(k, order.shape[1] - 1)]) for k in range(2)]
    if isinstance(goal, Untargeted | Targeted):
        early = share < TURN
        known += [other(goal, outputs) if early else plain, probability(goal, outputs)]
        known += [own(goal, outputs) if early else plain]
    return torch.stack(known, 1).gather(1, which[:, None]).squeeze(1)
