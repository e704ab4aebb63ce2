"""The average hides a group that a spurious feature misleads; balancing the groups mends it."""

from __future__ import annotations

from unittest.mock import PropertyMock, patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs.groups import GroupReport, group_accuracy

ROWS, MAJORITY = 4000, 0.95


def _drawn(g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A core feature, a clearer spurious one, the label in {-1, 1}, and whether both agree."""
    y = 2 * torch.randint(2, (ROWS,), generator=g).double() - 1
    agree = torch.rand(ROWS, generator=g) < MAJORITY
    noise = torch.randn(ROWS, 2, generator=g, dtype=torch.float64)
    spurious = torch.where(agree, y, -y) + 0.1 * noise[:, 1]
    return torch.stack([y + noise[:, 0], spurious], 1), y, agree.long()


def _fitted(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Least squares, rows weighted."""
    root = weight.sqrt()[:, None]
    found: Tensor = torch.linalg.lstsq(x * root, y[:, None] * root).solution[:, 0]
    return found


def _report(line: Tensor, x: Tensor, y: Tensor, group: Tensor) -> GroupReport:
    z = x @ line
    return group_accuracy(torch.stack([-z, z], 1), (y > 0).long(), groups=group)


def trial(seed: int, mutant: str = "") -> Trial:
    """Worst group before and after balancing."""
    g = torch.Generator().manual_seed(seed)
    (x, y, agree), (tx, ty, tagree) = _drawn(g), _drawn(g)
    if mutant == "groups-shuffled":
        tagree = tagree[torch.randperm(ROWS, generator=g)]
    share = agree.bincount() / ROWS
    plain, fair = _fitted(x, y, torch.ones(ROWS)), _fitted(x, y, 1 / share[agree])
    before, after = _report(plain, tx, ty, tagree), _report(fair, tx, ty, tagree)
    average = PropertyMock(return_value=before.right.double().mean())
    if mutant == "mean-in-place-of-the-worst":
        with patch.object(GroupReport, "worst", average):
            worst = float(before.worst)
    else:
        worst = before.worst
    parts = float((before.count * before.accuracy).sum() / ROWS)
    mean = before.readings()[0].value
    holds = abs(parts - mean) < 1e-12 and mean > 0.9 and worst < 0.4 and after.worst > worst + 0.2
    return Trial(worst, after.worst, holds)


CLAIM = Claim(
    paper="worst-group",
    methods=("measure:group-accuracy",),
    says="Where a spurious feature agrees with the label in 95 % of rows, accuracy is above 0.9 on "
    "average, below 0.4 in the worst group, and 0.2 higher there after groups are balanced.",
    left="accuracy in the worst group",
    right="the same after balancing",
    trial=trial,
    seeds=(0, 1, 2, 3, 4),
    mutants=("groups-shuffled", "mean-in-place-of-the-worst"),
    seconds=2,
)
