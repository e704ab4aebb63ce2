"""Adversarial training against plain training, under attack."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.claims.digits import plain_robust, robust_accuracy, split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.threats.norms import LInf

RADIUS = 0.15


@settings
class Idle(Attack):
    """The mutant's attack: changes nothing."""

    access = PGD.access

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        return threat.none(x)


@settings
class Downhill(PGD):
    """The mutant's attack: the change of PGD, turned round."""

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        return -super().__call__(model, x, goal, threat, dice=dice)


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy of both on held-out digits at radius 0.15."""
    data, test = split(seed, 640)
    objective = AdversarialTraining(threat=LInf(radius=RADIUS), attack=PGD(steps=5))
    if mutant == "forgets-attack":
        objective = replace(objective, attack=Idle())
    if mutant == "steps-downhill":
        objective = replace(objective, attack=Downhill(steps=5))
    hard = robust_accuracy(trained(seed, data, objective, 12), test, RADIUS)
    plain = plain_robust(seed, 640, 12, RADIUS)
    return Trial(hard, plain, hard > plain + 0.05)


CLAIM = Claim(
    paper="pgd-at",
    methods=("objective:pgd-at", "recipe:pgd-at"),
    says="Adversarial training gains more than 5 points of robust accuracy over plain training.",
    left="robust accuracy after adversarial training",
    right="robust accuracy after plain training",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("forgets-attack", "steps-downhill"),
    seconds=10,
)
