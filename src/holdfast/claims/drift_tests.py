"""Tests on a classifier's answers see missing classes that tests of random projections miss."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.measures.data import drift as module
from holdfast.measures.data.drift import drift

ROWS, REPEATS, SHIFTS = 80, 12, 2


@cache
def _answers(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    model, (train, test) = trained(seed), digits(seed)
    with torch.no_grad():
        return test.x, test.y, model(train.x).softmax(1)  # type: ignore[return-value]


def _shifts(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    return {"none": x, "low gone": x[y > 4], "high gone": x[y < 5]}


def _p(values: Tensor, known: Tensor, test: str, mutant: str) -> float:
    if mutant == "no-correction":
        with patch.object(module, "adjusted", lambda p, _: p):
            return drift(values, known).p
    return drift(values, known, test=test, permutations=99).p  # type: ignore[arg-type]


@cache
def _rates(seed: int, mutant: str) -> tuple[float, float, float]:
    """Share of false alarms, and of detections by answers and by random projections."""
    x, y, sure = _answers(seed)
    model = trained(seed)
    g = torch.Generator().manual_seed(seed)
    line = torch.randn(64, 8, generator=g) / 8
    false, mine, theirs = 0, 0, 0
    for _ in range(REPEATS):
        order = torch.randperm(len(x), generator=g)
        known, new = x[order[:ROWS]], order[ROWS:]
        with torch.no_grad():
            before = model(known).softmax(1)
        if mutant == "reference-is-what-was-learned":
            before = sure
        for name, shifted in _shifts(x[new], y[new]).items():
            rows = shifted[:ROWS]
            with torch.no_grad():
                after = model(rows).softmax(1)
            hit = _p(after, before, "ks", mutant) < 0.05
            if name == "none":
                false += hit
                continue
            mine += hit
            flat = rows.flatten(1) @ line, known.flatten(1) @ line
            theirs += _p(*flat, "mmd", "") < 0.05
    return false / REPEATS, mine / REPEATS / SHIFTS, theirs / REPEATS / SHIFTS


def trial(seed: int, mutant: str = "") -> Trial:
    """Detection rates of missing classes, and false alarms."""
    false, mine, theirs = _rates(seed, mutant)
    # With 12 looks at a level of 0.05, four or more false alarms have a chance of 0.2 %.
    return Trial(mine, theirs, mine > theirs and false <= 3 / REPEATS)


CLAIM = Claim(
    paper="drift-tests",
    methods=("measure:drift",),
    says="Corrected Kolmogorov tests on a net's probabilities notice that half the digits are gone "
    "more often than MMD on a random projection does, with at most 3 false alarms in 12.",
    left="share of shifted samples of 80 rows that the answers give away",
    right="share that MMD finds on eight random directions",
    trial=trial,
    mutants=("no-correction", "reference-is-what-was-learned"),
    seconds=5,
    why="of shifts of labels only: noise on half of the images is seen by MMD and by tests of "
    "pixels, but not in the probabilities of this net",
)
