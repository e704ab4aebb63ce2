"""Where the worst case is known, attack, envelope and certificates all report it."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.linear.crown import CROWN
from holdfast.checks.certificates import Certificates
from holdfast.checks.envelope import Envelope
from holdfast.checks.worst_case import WorstCase
from holdfast.claims.harness import Claim, Trial
from holdfast.core.certificate import Certificate
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Contradiction
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Check, Model, Threat
from holdfast.core.records import Finding, Subject
from holdfast.testing.worlds import Linear, staircase, two_class
from holdfast.threats.norms import LInf

ROWS, RADIUS, FACTORS = 48, 0.04, (0.5, 1.0, 2.0)


@settings
class _Bold(CROWN):
    """Bug: proves a radius 1.5 times as large as what it has bounded."""

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        return super().__call__(model, x, goal, threat.scaled(1 / 1.5), dice=dice)


def _asked(check: Check, world: Linear, radius: float = RADIUS) -> list[Finding]:
    subject = Subject(
        model=world.model, batches=Batches(x=world.x, y=world.y), threats=(LInf(radius=radius),)
    )
    return list(check(subject))


def _worst(world: Linear, mutant: str) -> float:
    attacks = ("attack:pgd", "attack:apgd")
    radius = RADIUS / 2 if mutant == "attacks-half-the-radius" else RADIUS
    found = _asked(WorstCase(attacks=attacks, probes=0), world, radius)[0].readings[0]
    return found.value if found.bound == "upper" else float("nan")


def _curves(world: Linear, mutant: str) -> dict[str, list[float]]:
    """Accuracy at each radius, from above and from below."""
    certifier = _Bold() if mutant == "proves-too-much" else CROWN()
    figure = _asked(Envelope(radii=FACTORS, certifier=certifier), world)[0].figures[0]
    found: dict[str, list[float]] = {"upper": [], "lower": []}
    for row in figure.rows:
        if float(row["radius"] or 0) > 0:
            found[str(row["bound"])].append(float(row["accuracy"] or 0))
    return found


def _proved(world: Linear, mutant: str) -> float:
    certifier = _Bold() if mutant == "proves-too-much" else CROWN()
    check = Certificates(certifiers=(certifier,), radii=(1.0,))
    found = _asked(check, world)[0].readings[0]
    return found.value if found.bound == "lower" else float("nan")


def _doubts(seed: int, mutant: str) -> int:
    """Signs of masked gradients on a model that has none."""
    probes = 0 if mutant == "no-self-checks" else 16
    check = WorstCase(attacks=("attack:pgd",), probes=probes)
    return len(_asked(check, staircase(rows=16, seed=seed))[0].readings[0].flags)


def trial(seed: int, mutant: str = "") -> Trial:
    """Shares of rows that survive, against the closed form of a linear model."""
    world = two_class(rows=ROWS, seed=seed)

    def exact(factor: float) -> float:
        return float((world.worst(factor * RADIUS, torch.inf) < 0).double().mean())

    try:
        left = _worst(world, mutant)
        curves, proved = _curves(world, mutant), _proved(world, mutant)
    except Contradiction:
        return Trial(float("nan"), exact(1.0), False)
    truth = [exact(f) for f in FACTORS]
    same = curves["upper"] == truth and curves["lower"] == truth and proved == exact(1.0)
    return Trial(left, exact(1.0), same and left == exact(1.0) and _doubts(seed, mutant) > 0)


CLAIM = Claim(
    paper="check:worst-case",
    methods=("check:worst-case", "check:envelope", "check:certificates"),
    says="On a linear model of two classes the worst case, both curves of the envelope and the "
    "share of proved rows are the closed form; a model without gradients raises doubts.",
    left="share of rows that survive the worst case",
    right="the same in closed form",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("attacks-half-the-radius", "proves-too-much", "no-self-checks"),
    seconds=5,
)
