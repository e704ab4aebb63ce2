"""Trying every class finds what climbing towards the nearest class misses: a dead end."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from holdfast.attacks.active import Active
from holdfast.attacks.apgd import APGD, APGD_TARGETED
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.threats.norms import LInf

ROWS, CLASSES, RADIUS = 40, 6, 0.1


class _DeadEnds(nn.Module):
    """Each class but 0 rises with an input of its own, at a rate of 10, up to a ceiling.

    A class whose ceiling is below 0 never overtakes class 0, whose logit is 0; it may still be
    the nearest one by far.
    """

    def __init__(self, start: Tensor, ceiling: Tensor, middle: Tensor) -> None:
        super().__init__()
        self.start, self.ceiling, self.middle = start, ceiling, middle

    def forward(self, x: Tensor) -> Tensor:
        key = x[:, -1].mul(ROWS).floor().long()  # the last input, never changed by 1 / ROWS, is
        risen = self.start[key] + 10 * (x[:, :-1] - self.middle)  # the number of the row
        return torch.cat([torch.zeros_like(x[:, :1]), risen.minimum(self.ceiling[key])], 1)


class _Same(APGD):
    """Bug: every run goes for the same class."""

    def _ranked(self, active: Active) -> Tensor:
        ranks = super()._ranked(active)
        return ranks[:, :1].expand_as(ranks)


class _Few(APGD):
    """Bug: the last class in the order is left out."""

    def _ranked(self, active: Active) -> Tensor:
        return super()._ranked(active)[:, :-1]


class _Still(LInf):
    """A ball in all inputs but the last."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        kept = super().project(x, change).clone()
        kept[:, -1] = 0
        return kept


def trial(seed: int, mutant: str = "") -> Trial:
    """Rows on which the class that can win is at a random place of the order."""
    g = torch.Generator().manual_seed(seed)
    ways = CLASSES - 1
    start = -0.9 + 0.8 * torch.rand(ROWS, ways, generator=g, dtype=torch.float64)
    ceiling = torch.full((ROWS, ways), -0.05, dtype=torch.float64)
    open_way = torch.arange(ROWS) % ways
    rank = start.argsort(1, descending=True)
    ceiling.scatter_(1, rank.gather(1, open_way[:, None]), 0.1)
    model = _DeadEnds(start, ceiling, torch.tensor(0.5, dtype=torch.float64))
    key = (torch.arange(ROWS, dtype=torch.float64) + 0.5) / ROWS
    x = torch.cat([torch.full((ROWS, ways), 0.5, dtype=torch.float64), key[:, None]], 1)
    goal, threat = Untargeted(torch.zeros(ROWS, dtype=torch.long)), _Still(radius=RADIUS)
    kind = {"one-class-for-all-runs": _Same, "leaves-out-the-last": _Few}.get(mutant, APGD)
    fields = {f: getattr(APGD_TARGETED, f) for f in ("climb", "targets", "stride", "momentum")}
    targeted = kind(steps=25, **fields)
    left = float(search(targeted, model, x, goal, threat).broken.double().mean())
    nearest = replace(targeted, climb="margin")
    right = float(search(nearest, model, x, goal, threat).broken.double().mean())
    return Trial(left, right, left == 1.0 and right <= 0.5)


CLAIM = Claim(
    paper="attack:apgd-targeted",
    methods=("attack:apgd-targeted",),
    says="Where all classes but one are dead ends, one run per class breaks every row, while "
    "climbing the margin breaks at most half.",
    left="share of rows broken by one run per class",
    right="share broken by as many steps on the margin",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("one-class-for-all-runs", "leaves-out-the-last"),
    seconds=3,
)
