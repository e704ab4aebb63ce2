"""A ball that follows the boundary reaches the lengths of a penalty method in a hundred steps."""

from __future__ import annotations

from functools import cache

from holdfast.attacks.cw import CW
from holdfast.attacks.ddn import DDN
from holdfast.attacks.fmn import FMN, NEAREST
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.shortest import lengths, scene
from holdfast.core.catalog import with_settings
from holdfast.core.kinds import Attack
from holdfast.threats.norms import L2

THREAT = L2(radius=0.5)
ROWS, STILL = 60, 1e-6  # a rate at which a radius stays what it was


@cache
def priced(seed: int) -> float:
    """Median length of CW with nine prices and 200 steps each."""
    return float(lengths(CW(steps=200, rate=0.05), *scene(seed, ROWS), THREAT)[0].median())


def attacks(mutant: str) -> tuple[Attack, Attack, Attack]:
    """FMN, FMN from DeepFool, DDN; with one bug in each under a mutant."""
    if mutant == "radius-stays":
        still = FMN(rate=STILL, rate_end=STILL)
        return still, still, DDN(rate=STILL)
    if mutant == "steps-too-short":
        return FMN(stride=STILL), with_settings(NEAREST, stride=STILL), DDN()
    if mutant == "stops-at-once":
        return FMN(steps=2), with_settings(NEAREST, steps=1), DDN(steps=2)
    return FMN(), NEAREST, DDN()


def trial(seed: int, mutant: str = "") -> Trial:
    """Median lengths against CW with nine times 200 steps: 3 % room for FMN, 5 % for DDN."""
    found = [lengths(a, *scene(seed, ROWS), THREAT) for a in attacks(mutant)]
    fmn, near, ddn = (float(length.median()) for length, _ in found)
    won = min(share for _, share in found)
    ratios = (fmn / priced(seed) / 1.03, near / priced(seed) / 1.03, ddn / priced(seed) / 1.05)
    return Trial(max(ratios), 1.0, max(ratios) <= 1 and won >= 0.98)


CLAIM = Claim(
    paper="ddn-fmn",
    methods=("attack:fmn", "attack:ddn", "attack:deepfool-fmn"),
    says="in at most 100 steps the median change of digits is at most 3 % (FMN) and 5 % (DDN) "
    "longer than that of CW with nine times 200 steps",
    left="largest ratio of a median length to CW's, over its room",
    right="1",
    trial=trial,
    seeds=(301, 302, 303),
    mutants=("radius-stays", "steps-too-short", "stops-at-once"),
    seconds=30,
    quick=False,
)
