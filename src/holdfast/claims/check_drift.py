"""The drift check keeps its level where nothing moved, and names the feature that did."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.checks import drift as module
from holdfast.checks.drift import Drift
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.records import Subject
from holdfast.measures.data.drift import Drift as Tested
from holdfast.measures.data.drift import drift

ROWS, FEATURES, LOOKS, MOVED = 100, 8, 12, 5


def _rows(g: torch.Generator, move: float) -> Batches:
    x = torch.randn(ROWS, FEATURES, generator=g, dtype=torch.float64)
    x[:, MOVED] += move
    return Batches(x=x, y=torch.zeros(ROWS, dtype=torch.int64))


def _any_at_level(now: Tensor, before: Tensor, **settings: object) -> Tested:
    """Bug: eight looks at the level of one."""
    found = drift(now, before, **settings)  # type: ignore[arg-type]
    return Tested(found.found, found.found.p, found.rows, 0, found.alpha, 0, found.name)


def _with_itself(now: Tensor, before: Tensor, **settings: object) -> Tested:
    """Bug: the new rows are compared with themselves."""
    return drift(now, now, **settings)  # type: ignore[arg-type]


BUGS = {"no-correction": _any_at_level, "compares-with-itself": _with_itself}


def trial(seed: int, mutant: str = "") -> Trial:
    """Alarms of inputs over looks at unmoved rows, and at rows of which one feature moved."""
    g = torch.Generator().manual_seed(seed)
    alarms, named = [0, 0], 0
    with patch.object(module, "drift", BUGS.get(mutant, drift)):
        for _ in range(LOOKS):
            trusted = _rows(g, 0.0)
            for k, move in enumerate((0.0, 1.0)):
                subject = Subject(model=lambda x: x[:, :2], batches=_rows(g, move), trusted=trusted)
                (found,) = Drift()(subject)
                p = {r.name: r.value for r in found.readings}["drift.inputs.p"]
                alarms[k] += p < 0.05
                inputs = found.figures[-1].rows
                shown = [r["feature"] for r in inputs if r["moved"]]
                named += bool(move and shown and shown[0] == MOVED)
    false, true = (a / LOOKS for a in alarms)
    # Four or more false alarms in 12 looks at 0.05 have a chance of 0.2 %.
    return Trial(true, false, alarms[0] <= 3 and true > 0.9 and named > 0.9 * LOOKS)


CLAIM = Claim(
    paper="check:drift",
    methods=("check:drift",),
    says="Over twelve looks at eight features, the check gives at most 3 false alarms, and finds "
    "and names the one feature that moved in more than nine of ten.",
    left="share of looks at moved rows with an alarm",
    right="share of looks at unmoved rows with one",
    trial=trial,
    mutants=("no-correction", "compares-with-itself"),
    seconds=4,
)
