"""Whether nets trained against an adversary can be led further astray without noticing."""

from __future__ import annotations

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.measure_blind_spots import seen

RUNS = 3


def trial(seed: int, mutant: str = "") -> Trial:
    """Way left on hardened and on plain nets, means of three runs, and in how many it is less."""
    hard, plain = (
        [float(seen(RUNS * seed + run, radius, mutant).walks[0].left.mean()) for run in range(RUNS)]
        for radius in (0.1, 0.0)
    )
    closer = sum(a < b for a, b in zip(hard, plain, strict=True))
    return Trial(sum(hard) / RUNS, sum(plain) / RUNS, closer >= 2)


CLAIM = Claim(
    paper="level-set-traversal",
    methods=("measure:blind-spots",),
    says="On nets trained against an adversary walks that keep the confidence come closer to "
    "another digit, in two of three runs.",
    left="mean share of the way left on hardened nets",
    right="on plain nets",
    trial=trial,
    seeds=(71, 72, 73),
    mutants=("straight-on",),
    seconds=30,
    quick=False,
    known="does not hold",
    why="small nets trained against an adversary are less sure, and 0.05 of confidence is lost "
    "sooner",
)
