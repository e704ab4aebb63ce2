"""On a linear model the first-order distance to the boundary is the distance."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.checks import curvature
from holdfast.checks.curvature import Curvature
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of
from holdfast.core.records import Subject
from holdfast.testing.worlds import two_class

ROWS = 80


def _weight(model: Model) -> Tensor:
    """The weights of a linear model."""
    weight: Tensor = modules_of(model)[0].get_parameter("weight").detach()
    return weight


def _euclidean(model: Model, x: Tensor, y: Tensor) -> Tensor:
    """Bug: the Euclidean length of the gradient, which goes with another distance."""
    weight = _weight(model)
    length: Tensor = (weight[1] - weight[0]).norm()
    return length.expand(len(x))


def _one_logit(model: Model, x: Tensor, y: Tensor) -> Tensor:
    """Bug: the gradient of the label's logit instead of the margin's."""
    slope: Tensor = _weight(model)[y].abs().sum(1)
    return slope


BUGS = {"euclidean-length": _euclidean, "slope-of-one-logit": _one_logit}


def trial(seed: int, mutant: str = "") -> Trial:
    """The mean distance over the rows that are right, a quarter of the labels being wrong."""
    world = two_class(rows=ROWS, seed=seed)
    wrong = torch.arange(ROWS) % 4 == 0
    y = torch.where(wrong, 1 - world.y, world.y)
    if mutant == "counts-wrong-rows":
        y = world.y
    subject = Subject(model=world.model, batches=Batches(x=world.x, y=y), seed=seed)
    with patch.object(curvature, "_slopes", BUGS.get(mutant, curvature._slopes)):
        findings = list(Curvature()(subject))
    found = {r.name: r for f in findings for r in f.readings}
    seen = found["geometry.linear_distance"]
    distance = world.radius(torch.inf)[~wrong]
    off = abs(seen.value - float(distance.mean()))
    margin = float(world.margin()[~wrong][0])
    slope = abs(found["geometry.slope"].value * float(distance[0]) + margin)
    right = int((~wrong).sum())
    return Trial(seen.value, float(distance.mean()), max(off, slope) < 1e-9 and seen.n == right)


CLAIM = Claim(
    paper="check:curvature",
    methods=("check:curvature",),
    says="Distance and slope that it reports for a linear model are the closed form to 1e-9, over "
    "the rows that are right.",
    left="mean distance to the boundary reported",
    right="mean of the margins over the L1 length of the weights",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("euclidean-length", "slope-of-one-logit", "counts-wrong-rows"),
    seconds=3,
)
