"""Clean accuracy and its slices are counts of loops, with intervals that hold all together."""

from __future__ import annotations

import math
from unittest.mock import patch

import torch
from scipy.stats import binom
from torch import Tensor

from holdfast.checks import clean, slices
from holdfast.checks.clean import Clean
from holdfast.checks.slices import Slices
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.kinds import Check
from holdfast.core.records import Finding, Subject
from holdfast.run.forward import correct

DRAWS, GROUPS, EACH, ALPHA = 120, 12, 40, 0.05


def _asked(check: Check, z: Tensor, y: Tensor, group: Tensor) -> list[Finding]:
    """The findings about a model that looks its answers up by the number of the row."""
    rows = torch.arange(len(y), dtype=torch.float64)[:, None]
    batches = Batches(x=rows, y=y, group=group)
    return list(check(Subject(model=lambda x: z[x[:, 0].long()], batches=batches)))


def _tied(logit: Tensor, y: Tensor) -> Tensor:
    """Bug: a tie counts as right."""
    return logit.gather(1, y[:, None]).squeeze(1) >= logit.amax(1)


def _counts(seed: int) -> float:
    """How far accuracy, worst slice and broken rows are from loops, on rows with ties and NaN."""
    g = torch.Generator().manual_seed(seed)
    z = torch.randint(3, (200, 4), generator=g).double()
    z[torch.rand(200, generator=g) < 0.1, 2] = torch.nan
    y, group = torch.randint(4, (200,), generator=g), torch.randint(3, (200,), generator=g)
    right, broken = [], 0
    for row, label in zip(z.tolist(), y.tolist(), strict=True):
        whole = not any(math.isnan(v) for v in row)
        broken += not whole
        right.append(whole and all(row[label] > v for k, v in enumerate(row) if k != label))
    of_slice: dict[tuple[str, int], list[bool]] = {}
    for i, hit in enumerate(right):
        of_slice.setdefault(("class", int(y[i])), []).append(hit)
        of_slice.setdefault(("group", int(group[i])), []).append(hit)
    worst = min(sum(hits) / len(hits) for hits in of_slice.values())
    readings = {r.name: r for f in _asked(Clean(), z, y, group) for r in f.readings}
    found = _asked(Slices(), z, y, group)[0]
    off = abs(readings["clean.accuracy"].value - sum(right) / 200)
    off += abs(readings["clean.nonfinite"].value - broken / 200)
    off += abs(found.readings[0].value - worst)
    return off + abs(len(found.figures[0].rows) - len(of_slice))


def _cover(seed: int, alpha: float) -> float:
    """Share of draws in which every slice's interval holds the accuracy it was drawn from."""
    g = torch.Generator().manual_seed(seed + 1000)
    truth = torch.linspace(0.4, 0.95, GROUPS)
    group = torch.arange(GROUPS).repeat_interleave(EACH)
    y, together = torch.zeros(len(group), dtype=torch.long), 0
    for _ in range(DRAWS):
        right = torch.rand(len(group), generator=g) < truth[group]
        z = torch.stack([right.double(), 0.5 * torch.ones(len(group)).double()], 1)
        rows = _asked(Slices(alpha=alpha), z, y, group)[0].figures[0].rows
        together += all(
            float(r["low"] or 0) <= truth[int(str(r["label"]).split()[1])] <= float(r["high"] or 0)
            for r in rows
            if str(r["label"]).startswith("group")
        )
    return together / DRAWS


def trial(seed: int, mutant: str = "") -> Trial:
    """Counts against loops, and coverage of twelve groups at once."""
    counted = _tied if mutant == "ties-are-right" else correct
    with patch.object(clean, "correct", counted), patch.object(slices, "correct", counted):
        off = _counts(seed)
    alpha = ALPHA * (GROUPS + 1) if mutant == "each-slice-by-itself" else ALPHA
    left = _cover(seed, alpha)
    right = float(binom.ppf(1e-4, DRAWS, 1 - ALPHA)) / DRAWS
    return Trial(left, right, off < 1e-12 and left >= right)


CLAIM = Claim(
    paper="check:clean",
    methods=("check:clean", "check:slices"),
    says="Accuracy, broken rows and the worst slice are those of loops, and the intervals of "
    "twelve groups hold all at once in 95 % of 120 draws, less what chance explains.",
    left="share of draws in which all intervals hold",
    right="least share that chance allows at level 1e-4",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("ties-are-right", "each-slice-by-itself"),
    seconds=4,
)
