"""Counts of answers by label are those of plain loops, ties and broken rows included."""

from __future__ import annotations

import math
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import UNLABELLED
from holdfast.measures.outputs.accuracy import accuracy, confusion
from holdfast.measures.outputs.labelled import Labelled

ROWS, CLASSES = 300, 4


def _rows(seed: int) -> tuple[Tensor, Tensor]:
    """Logits out of few values, so that ties are common; some labels missing, some rows NaN."""
    g = torch.Generator().manual_seed(seed)
    z = torch.randint(4, (ROWS, CLASSES), generator=g).double()
    y = torch.randint(CLASSES, (ROWS,), generator=g)
    y[torch.rand(ROWS, generator=g) < 0.1] = UNLABELLED
    z[torch.rand(ROWS, generator=g) < 0.05, 1] = torch.nan
    return z, y


def _loops(z: Tensor, y: Tensor) -> tuple[list[int], list[int], list[list[int]]]:
    """Labelled rows and strictly right rows of each class, and answers of finite rows."""
    totals, right = [0] * CLASSES, [0] * CLASSES
    counts = [[0] * CLASSES for _ in range(CLASSES)]
    for row, label in zip(z.tolist(), y.tolist(), strict=True):
        if label == UNLABELLED:
            continue
        totals[label] += 1
        if any(math.isnan(v) for v in row):
            continue
        counts[label][row.index(max(row))] += 1
        right[label] += all(row[label] > v for k, v in enumerate(row) if k != label)
    return totals, right, counts


def _tied(rows: Labelled) -> Tensor:
    """Bug: a tie counts as right."""
    return rows.lead >= 0


def trial(seed: int, mutant: str = "") -> Trial:
    """How many numbers differ from those of the loops."""
    z, y = _rows(seed)
    totals, right, counts = _loops(z, y)
    if mutant == "counts-unlabelled-rows":
        y = y.clamp(min=0)
    if mutant == "keeps-broken-rows":
        z = z.nan_to_num(10.0)
    property_ = property(_tied) if mutant == "ties-are-right" else Labelled.correct
    with patch.object(Labelled, "correct", property_):
        found, overall = confusion(z, y), accuracy(z, y)
    seen = found.counts.T if mutant == "transposed" else found.counts
    off = int((seen != torch.tensor(counts)).sum())
    off += int((found.totals != torch.tensor(totals)).sum())
    off += int((found.right != torch.tensor(right)).sum())
    gap = abs(overall.value - sum(right) / sum(totals))
    off += int(overall.n != sum(totals)) + int(gap > 1e-12)
    each = [abs(r.value - k / n) > 1e-12 for r, k, n in
            zip(found.readings(), right, totals, strict=True)]  # fmt: skip
    return Trial(off + sum(each), 0.0, off + sum(each) == 0)


CLAIM = Claim(
    paper="measure:confusion",
    methods=("measure:confusion", "measure:accuracy"),
    says="Over 300 rows with ties, missing labels and broken outputs every count is that of loops.",
    left="numbers that differ",
    right="0",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("ties-are-right", "counts-unlabelled-rows", "keeps-broken-rows", "transposed"),
    seconds=1,
)
