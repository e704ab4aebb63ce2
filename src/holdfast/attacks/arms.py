"""What an ascent may climb, one choice per row: the arms of an ensemble."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from holdfast.attacks.ascent import Heights
from holdfast.attacks.climb import Height, margin, soft
from holdfast.attacks.contest import other, own, probability
from holdfast.attacks.ways import way
from holdfast.core.goal import Goal, Outputs, Targeted, Untargeted

RANKED = ("first way", "second way", "third way", "fourth way")
ARMS = ("mixed", "margin", "first way", "other", "probability", "own", *RANKED[1:])
CONTEST = {"other", "probability", "own"}  # need a goal that is a contest between classes
TERMS = {"other": other, "own": own}  # arms that begin with a single term of the margin
TURN = 0.4  # share of a run after which a single term gives way to the margin


def arms(goal: Goal, ways: int) -> list[int]:
    """Positions of the arms that make sense for a goal with so many ways to win."""
    known = {"mixed", "margin", *RANKED[:ways]} if ways > 1 else {"mixed"}  # one way: all the same
    if isinstance(goal, Untargeted | Targeted):
        known |= CONTEST
    return [number for number, arm in enumerate(ARMS) if arm in known]


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
    present = tuple(sorted(set(which.tolist())))  # those that no row climbs are not computed

    def heights(step: int, rows: Tensor) -> Height:
        own, ranks, share = which[rows], order[rows], step / steps
        return lambda goal, outputs: _armed(goal, outputs, own, ranks, share, present)

    return heights


def _armed(
    goal: Goal,
    outputs: Outputs,
    which: Tensor,
    order: Tensor,
    share: float,
    present: tuple[int, ...],
) -> Tensor:
    """`(B,)`: what each row climbs after that share of its run."""
    ways = goal.ways(outputs)
    plain = ways.amax(1)
    climbed = plain
    for number in present:
        arm = ARMS[number]
        if arm == "mixed" and share < 0.5:
            height = soft(goal, outputs)
        elif arm in RANKED:
            rank = RANKED.index(arm)
            height = ways.gather(1, order[:, rank : rank + 1]).squeeze(1)
        elif arm == "probability":
            height = probability(goal, outputs)
        elif arm in TERMS and share < TURN:
            height = TERMS[arm](goal, outputs)
        else:
            height = plain
        climbed = height if len(present) == 1 else torch.where(which == number, height, climbed)
    return climbed
