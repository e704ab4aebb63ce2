"""Estimating the normal of the boundary gets closer than walking along it."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.attacks import hopskipjump
from holdfast.attacks.boundary import Boundary
from holdfast.attacks.decisions import unit
from holdfast.attacks.hopskipjump import HopSkipJump
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Access, Attack
from holdfast.run.passes import Tap
from holdfast.threats.norms import L2

COUNT, JUMPS, ROUNDS = 16, 5, 60
THREAT = L2(radius=1.0)
_normal = hopskipjump.normal


def _downhill(known: Smallest, rows: Rows, change: Tensor, reach: Tensor, probes: int) -> Tensor:
    """Bug: the normal points to the losing side."""
    return -_normal(known, rows, change, reach, probes)


def _unsigned(known: Smallest, rows: Rows, change: Tensor, reach: Tensor, probes: int) -> Tensor:
    """Bug: probes are averaged without their labels."""
    draw = rows.dice.normal((probes, *change.shape[1:]), dtype=change.dtype)
    return unit(draw.mean(1))


BUGS = {"downhill": _downhill, "forgets-labels": _unsigned}


def _scene(seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    model, (_, test) = trained(seed), digits(seed)
    x, y = test.x, test.y
    with torch.no_grad():
        right = (model(x).argmax(1) == y).nonzero().flatten()[:COUNT]
    return model, x[right], y[right]


def _asked(attack: Attack, seed: int) -> tuple[float, float]:
    """Mean length of the changes that win (the worst case where none does), and the queries."""
    model, x, y = _scene(seed)
    tap, goal = Tap(model, Access.DECISION), Untargeted(y)
    with torch.no_grad():
        change = attack(tap, x, goal, THREAT)
        won = goal(model(THREAT.apply(x, change))) >= 0
    length = torch.where(won, THREAT.length(change), 8.0)
    return float(length.mean()), tap.forwards / len(x)


@cache
def _walk(seed: int) -> tuple[float, float]:
    return _asked(Boundary(steps=ROUNDS, smallest=True), seed)


def trial(seed: int, mutant: str = "") -> Trial:
    """Both see labels alone; the walk may ask more often."""
    with patch.object(hopskipjump, "normal", BUGS.get(mutant, _normal)):
        left, queries = _asked(HopSkipJump(steps=JUMPS, smallest=True), seed)
    right, more = _walk(seed)
    return Trial(left, right, left < right and queries <= more)


CLAIM = Claim(
    paper="hopskipjump",
    methods=("attack:hopskipjump",),
    says="From labels alone it gets closer than the boundary attack with no fewer queries.",
    left="mean Euclidean length of the changes after 5 jumps (some 910 queries)",
    right="the same by the boundary attack after at least as many queries",
    trial=trial,
    mutants=("downhill", "forgets-labels"),
    seeds=(711, 712, 713),
    seconds=10,
)
