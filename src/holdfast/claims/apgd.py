"""A step that sets itself is at least as strong as a fixed one, wherever the worst point lies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.attacks.apgd import APGD
from holdfast.attacks.climber import windows
from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import AtLeast
from holdfast.core.kinds import Attack
from holdfast.run.search import search
from holdfast.testing.worlds import Images
from holdfast.threats.norms import L2

STEPS, RADIUS, SIZE = 40, 0.1, 12


class Peak(nn.Module):
    """An output that falls with the squared distance from one point per row, in units of the ball.

    The points lie inside of the balls, so the worst change is known and steps must shrink to
    reach it.
    """

    tops: Tensor

    def __init__(self, tops: Tensor) -> None:
        super().__init__()
        self.register_buffer("tops", tops)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, B)`: the output of each row about each point."""
        away: Tensor = (x[:, None] - self.tops) / RADIUS
        return -away.square().sum(-1)


class Own(AtLeast):
    """Each row wants the output about its own point to reach its level; never won."""

    def ways(self, outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
        z = outputs if isinstance(outputs, Tensor) else outputs[0]
        return z.gather(1, self.level.long()[:, None]) - 1

    def take(self, rows: Tensor | slice) -> Own:
        return Own(self.level[rows])


class Downhill(L2):
    """Mutant: follows the gradient down."""

    def along(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return -super().along(x, change, gradient)


class NeverHalves(APGD):
    """Mutant: no step of the run is a checkpoint, so the first step length stays."""

    def _checkpoints(self, steps: int) -> dict[int, int]:
        return {}


def _attack(mutant: str) -> Attack:
    if mutant == "never-halves":
        return NeverHalves(steps=STEPS, climb="margin")
    if mutant == "halves-always":
        return APGD(steps=STEPS, climb="margin", rising=1.0, stride=0.02)
    return APGD(steps=STEPS, climb="margin")


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean margins of APGD and of PGD with equal steps, on a net and on peaks inside the balls."""
    images = Images.make(rows=16, seed=seed)
    g = torch.Generator().manual_seed(seed)
    x = 0.4 + 0.2 * torch.rand(8, SIZE, generator=g, dtype=torch.float64)
    way = torch.randn(8, SIZE, generator=g, dtype=torch.float64)
    tops = x + 0.5 * RADIUS * way / way.norm(dim=1, keepdim=True)
    threat = L2(radius=RADIUS)
    reached = Downhill(radius=RADIUS) if mutant == "descends" else threat
    ours, theirs = [], []
    for model, points, goal in (
        (images.model, images.x, images.goal),
        (Peak(tops), x, Own(torch.arange(8))),
    ):
        found = search(_attack(mutant), model, points, goal, reached)
        fixed = search(PGD(steps=STEPS, climb="margin"), model, points, goal, threat)
        ours.append(float(found.margin.mean()))
        theirs.append(float(fixed.margin.mean()))
    holds = all(a >= b - 1e-3 for a, b in zip(ours, theirs, strict=True))
    return Trial(sum(ours) / 2, sum(theirs) / 2, holds and sum(windows(STEPS)) <= STEPS)


CLAIM = Claim(
    paper="apgd",
    methods=("attack:apgd", "attack:pgd"),
    says="without tuning it reaches a mean margin no lower than PGD with as many fixed steps, "
    "on a net and where the worst point lies inside of the ball",
    left="mean margin reached by APGD, over both worlds",
    right="mean margin reached by PGD, over both worlds",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("descends", "halves-always", "never-halves"),
    seconds=5,
)
