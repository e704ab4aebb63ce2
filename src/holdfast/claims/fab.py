"""Walking along the boundary finds the shortest changes, whatever the scale of the logits."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from holdfast.attacks.ddn import DDN
from holdfast.attacks.deepfool import DeepFool
from holdfast.attacks.fab import FAB
from holdfast.attacks.smallest import Rows
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.shortest import lengths, scene
from holdfast.core.fields import settings
from holdfast.threats.norms import L1, L2, LInf


@settings
class Steep(FAB):
    """Mutant: takes a logit for a distance: it forgets to divide by the gradient's length."""

    def _next(self, rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        size = slope.flatten(1).norm(dim=1, keepdim=True).clamp(min=1e-12)
        return super()._next(rows, change, value, slope / size)


@settings
class Wandering(FAB):
    """Mutant: never looks back at the clean input, and does not move winning points back."""

    def _next(self, rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        beyond = torch.where(value < 0, value, value * 0)
        return super()._next(rows, 1.2 * change, beyond - 0.1, slope)


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean lengths in three norms against DeepFool, and in the Euclidean norm against DDN.

    The changes must stay when the logits are multiplied by 100.
    """
    kind = {"": FAB, "forgets-the-slope": Steep, "wanders-off": Wandering}[mutant]
    model, x, goal = scene(seed, 24)
    model, x = deepcopy(model).double(), x.double()
    ratios, same = [], True
    for threat in (LInf(radius=0.1), L2(radius=0.5), L1(radius=1.0)):
        near = kind(steps=20)
        each = kind(steps=20, aim="each", targets=4)
        found = [lengths(a, model, x, goal, threat) for a in (near, each)]
        mine = torch.minimum(found[0][0], found[1][0])
        rivals = [DeepFool(), DDN()] if threat.order == 2 else [DeepFool()]
        for rival in rivals:
            theirs, _ = lengths(rival, model, x, goal, threat)
            ratios.append(float(mine.mean() / theirs.mean()))
        first, _ = found[0]
        again, _ = lengths(near, lambda x: 100 * model(x), x, goal, threat)
        same = same and torch.allclose(again, first, rtol=1e-6)
    return Trial(max(ratios), 1.0, max(ratios) <= 1 and same)


CLAIM = Claim(
    paper="fab",
    methods=("attack:fab", "attack:fab-targeted"),
    says="its changes of digits are on average no longer than those of DeepFool in three norms "
    "and of DDN, and stay when the logits are multiplied by 100",
    left="largest ratio of its mean length to a rival's",
    right="1",
    trial=trial,
    seeds=(301, 302, 303),
    mutants=("forgets-the-slope", "wanders-off"),
    seconds=15,
)
