"""Mixtures keep a robust part's proofs, whatever the accurate part answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.certify.smoothing import mixed as certify_mixed
from holdfast.certify.smoothing.mixed import MixedMargin
from holdfast.claims.harness import Claim, Trial
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.defend import mixed as defend_mixed
from holdfast.defend.mixed import Mixed
from holdfast.defend.smoothed import smoothed
from holdfast.run.search import search
from holdfast.testing.worlds import Linear, three_class
from holdfast.threats.norms import L2, LInf

ROWS, WEIGHT, SIGMA = 200, 0.75, 0.2


class Rival(nn.Module):
    """An accurate part that is sure of the robust part's second choice, everywhere."""

    def __init__(self, robust: nn.Module) -> None:
        super().__init__()
        self.robust = robust

    def forward(self, x: Tensor) -> Tensor:
        z = self.robust(x)
        return 60 * nn.functional.one_hot(z.topk(2, 1).indices[:, 1], z.shape[1]).to(z)


@settings
class _OfLogits(MixedMargin):
    """Bug: takes a lead of logits for a lead of probabilities."""

    def _proved(
        self, model: Mixed, robust: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice | None
    ) -> Certificate:
        found = super()._proved(model, robust, x, goal, threat, dice)
        from holdfast.certify.linear.crown import CROWN

        lead = CROWN()(robust, x, goal, threat).margin
        return Certificate(model, threat, lead + (1 - model.least) / model.least, found.radius)


def _of_logits(standard: Tensor, robust: Tensor, weight: Tensor) -> Tensor:
    """Bug: mixes logits, which have no largest lead."""
    return (1 - weight) * standard + weight * robust


@contextmanager
def _bug(mutant: str) -> Iterator[None]:
    half = 0.25 if mutant == "forgets-half" else 0.5
    mixture = _of_logits if mutant == "mixes-logits" else defend_mixed.blend
    with (
        patch.object(certify_mixed, "HALF", half),
        patch.object(defend_mixed, "blend", mixture),
    ):
        yield


def trial(seed: int, mutant: str = "") -> Trial:
    """Proved rows that an attack breaks, and radii of a smoothed linear part."""
    world, threat = three_class(ROWS, 8, seed), LInf(radius=0.02)
    robust = deepcopy(world.model)  # sure enough of itself that leads in probability are large
    with torch.no_grad():
        for p in robust.parameters():
            p.mul_(8)
    mixed = Mixed(Rival(robust), robust, WEIGHT, WEIGHT)
    certifier = _OfLogits() if mutant == "lead-of-logits" else MixedMargin(samples=20_000)
    with _bug(mutant):
        found = certifier(mixed, world.x, world.goal, threat)
        attacked = search(
            PGD(steps=20), mixed, world.x, world.goal, threat, dice=Dice.of(ROWS, seed)
        )
        broken = int((attacked.broken & found.proved).sum())
        line = Linear.make(2, 40, 8, seed)
        smooth = Mixed(line.model, smoothed(line.model, sigma=SIGMA), WEIGHT, WEIGHT)
        many = MixedMargin(samples=20_000)(smooth, line.x, line.goal, L2(radius=0.0))
    limit = torch.special.ndtri(torch.tensor(0.5 / WEIGHT, dtype=torch.float64))
    exact = (line.radius(2.0) - SIGMA * limit).clamp(min=0)
    radius = many.radius if many.radius is not None else exact + 1
    near = (exact > 0.2 * SIGMA) & (exact < 2 * SIGMA)
    reached = float(radius[near].sum() / exact[near].sum())
    good = bool((radius <= exact).all()) and reached >= 0.9 and bool(found.proved.any())
    return Trial(float(broken), 0.0, broken == 0 and good)


CLAIM = Claim(
    paper="mixing-classifiers",
    methods=("certifier:mixed", "defence:mixed"),
    says="No attack breaks a row that is proved for a mixture whose accurate part always backs the "
    "second choice, and radii of smoothed linear parts are at most the true ones and 90 % of them.",
    left="proved rows that PGD breaks",
    right="0",
    trial=trial,
    seeds=(431, 432, 433),
    mutants=("lead-of-logits", "mixes-logits", "forgets-half"),
    seconds=8,
)
