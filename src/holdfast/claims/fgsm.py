"""One signed-gradient step moves a linear margin by exactly radius times the dual norm."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.pgd import FGSM, R_FGSM, RS_FGSM
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.kinds import Threat
from holdfast.run.search import search
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import LInf

RADIUS = 0.05


class Raw(LInf):
    """Mutant: steps along the gradient itself, scaled to the radius, instead of along its sign."""

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return self.radius * gradient / gradient.abs().amax(1, keepdim=True)


class Down(LInf):
    """Mutant: steps downhill."""

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return -super().steepest(x, change, gradient)


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy after one step against the closed form and against sign noise of equal size."""
    world = two_class(rows=200, seed=seed)
    kinds: dict[str, type[LInf]] = {"": LInf, "no-sign": Raw, "descends": Down}
    threat: Threat = kinds[mutant](radius=RADIUS)
    found = search(FGSM, world.model, world.x, world.goal, threat)
    left = float((~found.broken).double().mean())
    right = float((world.worst(RADIUS, float("inf")) < 0).double().mean())
    draw = Dice.of(200, seed).integers(2, world.x.shape[1:]) * 2 - 1
    with torch.no_grad():
        noise = world.goal(world.model(world.x + RADIUS * draw)) < 0
    blind = float(noise.double().mean())
    drawn = [
        float((~search(attack, world.model, world.x, world.goal, threat).broken).double().mean())
        for attack in (R_FGSM, RS_FGSM)
    ]
    between = all(left <= share < blind for share in drawn)
    return Trial(left, right, abs(left - right) < 1e-12 and left < blind and between)


CLAIM = Claim(
    paper="fgsm",
    methods=("attack:fgsm", "attack:r-fgsm", "attack:rs-fgsm"),
    says="on a linear model one step leaves exactly the accuracy of the closed form, below noise; "
    "one step from a random start leaves no less than that and less than noise",
    left="accuracy after the step",
    right="share of rows whose margin plus radius times dual norm is negative",
    trial=trial,
    mutants=("no-sign", "descends"),
    seconds=2,
)
