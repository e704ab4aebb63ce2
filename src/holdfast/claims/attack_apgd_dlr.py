"""The difference of logits ratio does not care how large the logits are or where they lie."""

from __future__ import annotations

from copy import deepcopy
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks import climb
from holdfast.attacks.apgd import APGD_DLR
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.goal import Goal, Outputs, Untargeted, logits
from holdfast.run.search import search
from holdfast.threats.norms import LInf

SCALE, SHIFT, RADIUS = 1024.0, 512.0, 0.12


class _Loud(nn.Module):
    """The same decisions from logits a thousand times as large, and shifted."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        loud: Tensor = SCALE * self.inner(x) + SHIFT
        return loud


def _cross_entropy(goal: Goal, outputs: Outputs) -> Tensor:
    """The usual loss, whose gradient underflows where the answer is certain."""
    y = goal.y if isinstance(goal, Untargeted) else torch.zeros(len(logits(outputs))).long()
    return F.cross_entropy(logits(outputs), y, reduction="none")


def _by_the_top(goal: Goal, outputs: Outputs) -> Tensor:
    """Bug: divides by the largest logit instead of a difference of logits."""
    return goal(outputs) / logits(outputs).amax(1).abs()


BUGS = {"climbs-cross-entropy": _cross_entropy, "divides-by-the-top": _by_the_top}


def trial(seed: int, mutant: str = "") -> Trial:
    """Margins found on a net and on the same net with loud logits."""
    model = deepcopy(trained(seed)).double()
    rows = digits(seed)[1].take(slice(0, 200)).whole
    x: Tensor = rows.x.double()  # type: ignore[union-attr]
    goal, threat = Untargeted(rows.y), LInf(radius=RADIUS)

    def found(net: nn.Module, bug: str) -> Tensor:
        with patch.dict(climb.CLIMBS, {"dlr": BUGS.get(bug, climb.dlr)}):
            return search(APGD_DLR, net, x, goal, threat).margin

    quiet, loud = found(model, mutant), found(_Loud(model), mutant)
    usual = found(_Loud(model), "climbs-cross-entropy")
    off = float(((loud / SCALE - quiet).abs() / quiet.abs().clamp(min=1e-3)).max())
    left, right = float((loud >= 0).double().mean()), float((usual >= 0).double().mean())
    return Trial(left, right, off <= 1e-6 and left >= right + 0.05)


CLAIM = Claim(
    paper="attack:apgd-dlr",
    methods=("attack:apgd-dlr",),
    says="Logits a thousand times as large and shifted change no margin it finds by more than "
    "1e-6, while climbing the cross-entropy there breaks at least 5 points fewer rows.",
    left="share of rows broken on the net with loud logits",
    right="share broken there by the same ascent on the cross-entropy",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=tuple(BUGS),
    seconds=5,
)
