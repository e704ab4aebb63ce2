"""A learner that needs clean labels, tried on every labeling, tolerates noise."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.classes.covers import deviation, intervals, learning_to_cover, thresholds
from holdfast.testing.worlds import draws

UNLABELLED, LABELLED, RUNS = 60, 4000, 15
NOISE, ADVERSARIAL, DELTA = 0.2, 0.05, 0.1
LOW, HIGH = 0.3, 0.7
KINDS = {"thresholds": thresholds, "intervals": intervals}


def _consistent(x: Tensor, labelings: Tensor) -> Tensor:
    """`(C, 2)`: the interval that ends halfway between the labels; knows nothing of noise."""
    x, order = x.sort()
    ends = torch.cat([x[:1] - 1, x, x[-1:] + 1])
    ones = labelings[:, order].int()
    first = torch.where(ones.any(1), ones.argmax(1), len(x))
    last = torch.where(ones.any(1), len(x) - ones.flip(1).argmax(1), len(x))
    low = (ends[first] + ends[first + 1]) / 2
    high = torch.where(last == len(x), torch.tensor(2.0).to(x), (ends[last] + ends[last + 1]) / 2)
    return torch.stack([low, high], 1)


def _wrong(hypotheses: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`(C, n)`: where an interval and the label differ."""
    inside = (x >= hypotheses[:, :1]) & (x < hypotheses[:, 1:])
    return inside != y


def _drawn(kind: str, count: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows with labels of which a fifth is flipped, and a twentieth is always wrong."""
    x = torch.rand(count, generator=g).double()
    true = (x >= LOW) & ((x < HIGH) | (kind == "thresholds"))
    flip = torch.rand(count, generator=g) < NOISE
    spoilt = x < ADVERSARIAL  # labelled 1 although the best hypothesis says 0
    return x, torch.where(spoilt, torch.ones_like(true), true ^ flip)


def _risk(kind: str, h: Tensor) -> float:
    """Exact expected loss of an interval: measured on a fine grid of the unit interval."""
    x = (torch.arange(20000).double() + 0.5) / 20000
    true = (x >= LOW) & ((x < HIGH) | (kind == "thresholds"))
    inside = (x >= h[0]) & (x < h[1])
    loss = torch.where(inside != true, 1 - NOISE, NOISE)
    loss = torch.where(x < ADVERSARIAL, (~inside).double(), loss)
    return float(loss.mean())


def _run(kind: str, g: torch.Generator, mutant: str) -> tuple[float, float, bool]:
    """Excess risks of the reduction and of the learner alone; whether the bound holds."""
    unlabelled = torch.rand(UNLABELLED, generator=g).double()
    x, y = _drawn(kind, LABELLED, g)
    ways = KINDS[kind](unlabelled)
    if mutant == "one-labeling":
        ways = ways[:1]
    y_shown = ~y if mutant == "keeps-the-worst" else y
    found = learning_to_cover(_consistent, _wrong, ways, unlabelled, x, y_shown, delta=DELTA / 2)
    best = _risk(kind, torch.tensor([LOW, 2.0 if kind == "thresholds" else HIGH]))
    alone = _risk(kind, _consistent(x, y[None])[0])
    risk = _risk(kind, found.hypothesis)
    return risk - best, alone - best, risk <= found.bound


def _allowed(kind: str) -> float:
    """Excess that theory grants: gaps of the unlabelled rows, and twice the deviation."""
    ends = 1 if kind == "thresholds" else 2
    size = len(KINDS[kind](torch.rand(UNLABELLED)))
    gap = ends * log(4 * ends / DELTA) / UNLABELLED
    return gap + 2 * deviation(size, LABELLED, DELTA / 2)


def trial(seed: int, mutant: str = "") -> Trial:
    """Share of runs whose excess risk or bound fails; at most delta, and less excess than alone."""
    g, failed, ours, alone = draws(seed), 0, 0.0, 0.0
    for kind in KINDS:
        allowed = _allowed(kind)
        for _ in range(RUNS):
            excess, other, bounded = _run(kind, g, mutant)
            failed += int(excess > allowed or not bounded)
            ours, alone = ours + excess, alone + other
    share = failed / (2 * RUNS)
    counts = len(thresholds(torch.rand(9))) == 10 and len(intervals(torch.rand(9))) == 46
    return Trial(share, DELTA, share <= DELTA and ours < alone and counts)


CLAIM = Claim(
    paper="realizable-reduction",
    methods=(),
    says="Over labels of which a quarter is wrong, the excess risk stays within the formula in at "
    "least 1 - delta of the runs, for thresholds and intervals, and below that of the learner "
    "alone.",
    left="share of runs whose excess risk or bound fails",
    right="delta",
    trial=trial,
    mutants=("one-labeling", "keeps-the-worst"),
    seconds=9,
)
