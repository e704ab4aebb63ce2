"""A net that only saw objects in the middle loses them at the border, and at other sizes."""

from __future__ import annotations

from functools import cache
from math import log

import torch
from torch import nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.pasted import grounds, objects, scenes, trained
from holdfast.core.catalog import find
from holdfast.core.data import Batches
from holdfast.ops.ranking import rank_correlation

AREA, TRAIN, TEST = 0.3, slice(0, 500), slice(500, 700)
SIZES = tuple((a,) for a in (0.05, 0.1, 0.2, AREA, 0.6, 1.0))
PLACES = tuple((i, j) for i in (0.3, 0.5, 0.7) for j in (0.3, 0.5, 0.7))
CORNERS = (0, 2, 6, 8)


@cache
def _model(seed: int, spread: float) -> nn.Sequential:
    return trained(seed, scenes(seed, TRAIN, 0.0, AREA, spread), epochs=20 if spread else 10)


def _test(seed: int) -> Batches:
    g = torch.Generator().manual_seed(seed + 77)
    fore, mask, y = (t[TEST] for t in objects(seed))
    ground = grounds(0.05 + 0.15 * torch.randint(4, (len(y),), generator=g), g)
    return Batches(x=fore, y=y, size=200, more={"mask": mask, "background": ground})


def trial(seed: int, mutant: str = "") -> Trial:
    """What a corner costs against the middle, after training in the middle and everywhere."""
    curve, data = find("measure:factor-curve").thing, _test(seed)
    places = PLACES[4:5] * 9 if mutant == "never-moves" else PLACES
    lost = []
    for spread in (0.0, 0.25):
        at = curve(_model(seed, spread), data, factor="location", values=places, area=AREA).accuracy
        lost.append(float(at[4] - at[list(CORNERS)].mean()))
    sizes = tuple((AREA,) for _ in SIZES) if mutant == "one-size" else SIZES
    by_size = curve(_model(seed, 0.0), data, factor="size", values=sizes).accuracy
    far = torch.tensor([abs(log(a / AREA)) for (a,) in SIZES]).double()
    order = float(rank_correlation(far, by_size))
    turn = ((1.0,), (361.0,), (181.0,))
    round_ = curve(_model(seed, 0.0), data, factor="rotation", values=turn, area=AREA)
    full = bool((round_.right[0] == round_.right[1]).all())
    return Trial(lost[0], lost[1], lost[0] > 0.2 and lost[1] < 0.1 and order < -0.7 and full)


CLAIM = Claim(
    paper="si-score",
    methods=("measure:factor-curve",),
    says="After training in the middle a corner costs more than 20 points, after training "
    "everywhere less than 10; accuracy falls with the distance from the size of training (rank "
    "correlation below -0.7).",
    left="points lost in the corners after training in the middle, as a share",
    right="the same after training everywhere",
    trial=trial,
    mutants=("never-moves", "one-size"),
    seconds=5,
)
