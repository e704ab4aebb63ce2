"""What a source says is true of its rows is true of them."""

from __future__ import annotations

from math import erf

import torch
from scipy.stats import binom
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.readers.synthetic.blobs import blobs
from holdfast.readers.synthetic.stripes import stripes

ROWS = 4000


def _bayes() -> float:
    """Accuracy of the nearest centre: both coordinates on the right side of the middle."""
    side = 0.5 * (1 + erf(0.25 / 0.08 / 2**0.5))
    return side**2


def _flips(data: Batches, mutant: str) -> float:
    """Share of rows whose answer changes just beyond the radius that is said, not just within."""
    truth, x = data.truth, torch.as_tensor(data.x, dtype=torch.float64)
    centres, own = truth.centres.double(), truth.rule(data.x)
    far = (x[:, None] - centres).square().sum(2)
    nearest = far.gather(1, own[:, None])
    way = centres - centres[own][:, None]
    radius = ((far - nearest) / 2 / way.abs().sum(2)).nan_to_num(nan=torch.inf)
    radius = 2 * radius if mutant == "radius-twice-too-large" else radius
    radius[torch.arange(len(x)), own] = torch.inf
    least, other = radius.min(1)
    push = way[torch.arange(len(x)), other].sign() * least[:, None]

    def answers(factor: float) -> Tensor:
        found: Tensor = torch.cdist(x + factor * push, centres).argmin(1)
        return found

    kept, gone = answers(1 - 1e-6) == own, answers(1 + 1e-6) != own
    return float((kept & gone).double().mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Both sources: rows on which the rule agrees with the label, and radii of the clouds."""
    dice = Dice.of(ROWS, seed)
    clouds, images = blobs(ROWS, dice), stripes(ROWS, dice.spawn("stripes"))
    x, y = torch.as_tensor(clouds.x), clouds.y
    if mutant == "clouds-too-wide":
        x = clouds.truth.centres[y] + 1.5 * (x - clouds.truth.centres[y])
    if mutant == "labels-of-the-neighbour":
        y = y.roll(1)
    pictures = torch.as_tensor(images.x)
    if mutant == "stripes-turned":
        pictures = pictures.transpose(2, 3)
    right = int((clouds.truth.rule(x) == y).sum())
    low, high = binom.ppf([1e-4, 1 - 1e-4], ROWS, _bayes())
    seen = float((images.truth.rule(pictures) == images.y).double().mean())
    known = _flips(clouds, mutant)
    holds = bool(low <= right <= high and seen >= 0.999 and known >= 0.999)
    return Trial(right / ROWS, _bayes(), holds)


CLAIM = Claim(
    paper="source",
    methods=("source:blobs", "source:stripes"),
    says="The nearest centre is right on the share of clouds' rows that normal tails give, each "
    "row's radius is exact to 1e-6, and the rule for stripes is right on 99.9 % of images.",
    left="accuracy of the nearest centre on 4,000 rows",
    right="accuracy by the normal distribution",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=(
        "clouds-too-wide", "labels-of-the-neighbour", "stripes-turned", "radius-twice-too-large",
    ),
    seconds=2,
)  # fmt: skip
