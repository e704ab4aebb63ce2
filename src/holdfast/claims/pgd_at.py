"""Adversarial training against plain training, under attack."""

from __future__ import annotations

from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.claims.hardening import INNER, THREAT, judged, plain
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.threats.norms import LInf


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


@settings
class Unbounded(LInf):
    """The mutant's threat: forgets to project."""

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return change


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy of both; clean accuracy must not fall by 8 points."""
    attack = {"forgets-attack": Idle(), "steps-downhill": Downhill(steps=10, climb="soft")}.get(
        mutant, INNER
    )
    threat = Unbounded(radius=THREAT.radius) if mutant == "forgets-projection" else THREAT
    clean, hard = judged(seed, AdversarialTraining(threat=threat, attack=attack))
    plain_clean, plain_hard = plain(seed)
    return Trial(hard, plain_hard, hard > plain_hard + 0.2 and clean > plain_clean - 0.08)


CLAIM = Claim(
    paper="pgd-at",
    methods=("objective:pgd-at", "recipe:pgd-at"),
    says="Adversarial training gains more than 20 points of robust accuracy over plain training "
    "and costs less than 8 points of clean accuracy.",
    left="robust accuracy after adversarial training (l-inf 0.1)",
    right="robust accuracy after plain training",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("forgets-attack", "steps-downhill", "forgets-projection"),
    seconds=100,
    quick=False,
)
