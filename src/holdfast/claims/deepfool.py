"""Steps onto the nearest boundary fool with less than the shortest gradient step that fools."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.attacks.climb import slopes
from holdfast.attacks.deepfool import DeepFool
from holdfast.attacks.smallest import Rows
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.shortest import lengths, scene
from holdfast.core.data import Batches
from holdfast.core.fields import settings
from holdfast.core.goal import Untargeted
from holdfast.measures.model.relative_distance import relative_distance
from holdfast.threats.norms import L2

THREAT = L2(radius=1.0)


@settings
class Signs(DeepFool):
    """Mutant: steps along the sign of the gradient, as if the maximum norm were asked for."""

    def _step(self, rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        step = super()._step(rows, change, value, slope)
        size = slope.abs().flatten(1).sum(1).clamp(min=1e-12)
        along = slope.sign() * (value.abs() / size)[:, None]
        return torch.where(step == 0, step, along)


@settings
class Backwards(DeepFool):
    """Mutant: steps away from the boundary."""

    def _step(self, rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        return -super()._step(rows, change, value, slope)


@settings
class LastLeg(DeepFool):
    """Mutant: twice as far as the boundary."""

    def _step(self, rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        return 2 * super()._step(rows, change, value, slope)


def shortest_gradient_step(model: nn.Module, x: Tensor, goal: Untargeted) -> Tensor:
    """`(B,)`: length of the shortest single step along the gradient of the loss that fools."""
    none = THREAT.none(x)
    gradient = slopes(model, x, goal, THREAT, none, climb="soft").gradient
    unit = gradient / gradient.norm(dim=1, keepdim=True)
    best = torch.full((len(x),), torch.inf)
    for far in torch.linspace(0.02, 6.0, 300):
        change = (x + far * unit).clamp(0, 1) - x
        with torch.no_grad():
            won = goal(model(x + change)) >= 0
        best = torch.where(won, torch.minimum(best, change.norm(dim=1)), best)
    return best


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean lengths on digits that both fool; DeepFool must fool 99 % within ten steps."""
    kind = {"": DeepFool, "takes-signs": Signs, "steps-back": Backwards, "goes-twice": LastLeg}
    model, x, goal = scene(seed, 100)
    mine, won = lengths(kind[mutant](steps=10), model, x, goal, THREAT)
    theirs = shortest_gradient_step(model, x, goal)
    both = mine.isfinite() & theirs.isfinite()
    if not bool(both.any()):
        return Trial(torch.inf, torch.inf, False)
    left, right = float(mine[both].mean()), float(theirs[both].mean())
    rows, attack = Batches(x=x, y=goal.y), kind[mutant](steps=10)
    share = relative_distance(model, rows, attack=attack, threat=THREAT).value
    short = (mine / x.norm(dim=1))[mine.isfinite()].mean()
    same = abs(share - float(short)) <= 1e-3 * share
    return Trial(left, right, left <= right and won >= 0.99 and same)


CLAIM = Claim(
    paper="deepfool",
    methods=("attack:deepfool", "measure:relative-distance"),
    says="within ten steps it fools at least 99 % of the digits, with changes on average no longer "
    "than the shortest gradient step that fools",
    left="mean Euclidean length of DeepFool",
    right="mean Euclidean length of the shortest single gradient step that fools",
    trial=trial,
    seeds=(301, 302, 303),
    mutants=("takes-signs", "steps-back", "goes-twice"),
    seconds=5,
)
