"""A score from outputs on generated samples ranks models as attacks do."""

from __future__ import annotations

from functools import cache
from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor

from holdfast.attacks.deepfool import DeepFool
from holdfast.claims.hardened_net import hardened
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.goal import Untargeted
from holdfast.measures.outputs.great import (
    Squash,
    calibrated_temperature,
    great_score,
    rank_agreement,
)
from holdfast.run.search import search
from holdfast.threats.norms import L2

RADII = (0.0, 0.05, 0.1, 0.15, 0.2)
HELD_OUT, SAMPLES, ROWS, DIMENSIONS = 900, 500, 200, 24


def generated(seed: int) -> tuple[Tensor, Tensor]:
    """Digits from a Gaussian over the principal components of each class, with their classes."""
    train, _ = digits(seed)
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(SAMPLES) % 10
    x = torch.empty(SAMPLES, 64)
    for label in range(10):
        rows = train.take(train.y == label).whole.x.flatten(1)  # type: ignore[union-attr]
        middle = rows.mean(0)
        _, spread, way = torch.linalg.svd(rows - middle, full_matrices=False)
        scale = spread[:DIMENSIONS] / (len(rows) - 1) ** 0.5
        z = torch.randn(int((y == label).sum()), DIMENSIONS, generator=g)
        x[y == label] = middle + (z * scale) @ way[:DIMENSIONS]
    return x.clamp(0, 1).reshape(-1, 1, 8, 8), y


@cache
def scene(seed: int) -> tuple[tuple[Tensor, ...], Tensor, tuple[float, ...]]:
    """Logits of five nets on generated digits, their classes, and mean distances under attack."""
    x, y = generated(seed)
    _, test = digits(seed)
    seen: Any = test.whole.x
    rows, labels = seen[:ROWS], test.y[:ROWS]
    outputs, distances = [], []
    for radius in RADII:
        model = hardened(seed, radius)
        with torch.no_grad():
            outputs.append(model(x))
        found = search(DeepFool(smallest=True), model, rows, Untargeted(labels), L2(radius=8.0))
        length = found.change.flatten(1).norm(dim=1)  # 0 where nothing is needed
        distances.append(float(length.mean()))
    return tuple(outputs), y, tuple(distances)


def trial(seed: int, mutant: str = "") -> Trial:
    """Rank agreement of scores and mean distances, and the score of a sure and of an idle model."""
    outputs, y, distances = scene(seed)
    old, labels, far = scene(HELD_OUT)
    squash: Squash = "softmax"
    temperature = calibrated_temperature(old, labels, far, squash=squash)
    if mutant == "forgets-to-squash":
        own = torch.arange(len(y))
        lead = [z[own, y] - z.scatter(1, y[:, None], -torch.inf).amax(1) for z in outputs]
        scores = [float(v.clamp(min=0).mean()) for v in lead]
    else:
        classes = (y + 1) % 10 if mutant == "class-of-another-sample" else y
        scores = [
            great_score(z, classes, squash=squash, temperature=temperature).score.value
            for z in outputs
        ]
    left = rank_agreement(scores, distances)
    sure = great_score(1e4 * torch.eye(10), torch.arange(10)).score.value
    idle = great_score(torch.zeros(10, 10), torch.arange(10)).score.value
    exact = abs(sure - sqrt(pi / 2)) < 1e-9 and idle == 0
    return Trial(left, 0.8, left >= 0.8 and exact)


CLAIM = Claim(
    paper="great-score",
    methods=("measure:great-score",),
    says="Five nets trained against growing adversaries are ranked by the score on generated "
    "digits, at a temperature from another seed, as by their mean DeepFool distance.",
    left="Spearman correlation of score and mean distance",
    right="0.8",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("forgets-to-squash", "class-of-another-sample"),
    seconds=25,
    quick=False,
    known="does not hold",
    why="small nets trained against an adversary are less sure of generated digits, the more so "
    "the larger their ball, so the score falls at every temperature while distances grow",
)
