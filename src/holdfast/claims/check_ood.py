"""The foreign-input check ranks pairs: perfect, useless and backward detectors get 1, 1/2 and 0."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.checks import ood
from holdfast.checks.ood import OOD
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.fields import settings
from holdfast.core.kinds import Detector, Model, Score
from holdfast.core.records import Subject
from holdfast.ops.ranking import auroc

ROWS, MARK = 80, 0.123


@settings
class _Marked(Detector):
    """Knows a mark that familiar rows bear; `way` 1 distrusts what lacks it, -1 what has it."""

    way: float = 1.0

    def fit(self, model: Model, trusted: Batches) -> Score:
        def score(x: Tensor, y: Tensor | None = None) -> Tensor:
            return self.way * ((x[:, 0, 0, 0] - MARK).abs() > 1e-9).double()

        return score


def _ties_win(known: Tensor, strange: Tensor) -> float:
    """Bug: a tie counts as a win."""
    return float((strange[:, None] >= known[None]).double().mean())


def _inside_out(known: Tensor, strange: Tensor) -> float:
    """Bug: counts familiar rows above foreign ones."""
    return auroc(strange, known)


def trial(seed: int, mutant: str = "") -> Trial:
    """Images with a mark in the corner, which no foreign image has by chance."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(2 * ROWS, 1, 12, 12, generator=g, dtype=torch.float64)
    x[:, 0, 0, 0] = MARK
    y = torch.arange(2 * ROWS) % 2
    both = Batches(x=x, y=y)
    trusted, measured = both.take(slice(0, ROWS)), both.take(slice(ROWS, 2 * ROWS))
    bug = {"ties-win": _ties_win, "inside-out": _inside_out}.get(mutant, auroc)
    found = []
    for way in (1.0, 0.0, -1.0):
        own = abs(way) if mutant == "drops-the-sign" else way
        subject = Subject(
            model=lambda x: x.flatten(1)[:, :2], batches=measured, trusted=trusted, seed=seed
        )
        with patch.object(ood, "auroc", bug):
            findings = list(OOD(detectors=(_Marked(way=own),))(subject))
        found.append({r.name: r for f in findings for r in f.readings}["ood.auroc"])
    # One foreign set keeps the corner of the rows it is made from: two halves, cut upright.
    low = min(abs(r.value - 0.5) for r in found[::2])
    middle, mirrored = found[1].value, abs(found[0].value + found[2].value - 1)
    honest = all(r.low <= r.value <= r.high for r in found)
    right = found[0].value > 0.5 and abs(middle - 0.5) < 1e-12 and mirrored < 1e-12 and low > 0.3
    return Trial(found[0].value, found[2].value, right and honest)


CLAIM = Claim(
    paper="check:ood",
    methods=("check:ood",),
    says="A detector that knows the rows' mark, one that knows nothing and a backward one get a "
    "pairwise rank above 0.8, of exactly 0.5 and the mirror image of the first.",
    left="AUROC of the detector that knows the mark",
    right="AUROC of the backward one",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("ties-win", "inside-out", "drops-the-sign"),
    seconds=3,
)
