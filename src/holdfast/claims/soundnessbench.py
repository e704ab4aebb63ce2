"""Nets with planted counterexamples: bounds prove none of them, and planted bugs are caught."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.certify.linear.crown import CROWN
from holdfast.claims.harness import Claim, Trial
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.run.search import search
from holdfast.testing.planted import Planted, needle, on_the_edge, soundness

READ = ("deep", "wide", "convolution", "strided", "pooled", "residual")
SAMPLES = 200


class _Mutant(Certifier):
    """CROWN with a bug: each is one that a verifier could ship with."""

    def __init__(self, bug: str) -> None:
        self.bug = bug

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        if self.bug == "samples-instead-of-bounds":
            margin = self._sampled(model, x, goal, threat)
        elif self.bug == "linear-at-the-centre":
            margin = self._linear(model, x, goal, threat)
        elif self.bug == "forgets-biases":
            margin = CROWN()(_unbiased(model), x, goal, threat).margin
        else:  # half-the-radius
            margin = CROWN()(model, x, goal, threat.scaled(0.5)).margin
        return Certificate(model, threat, margin)

    @staticmethod
    def _sampled(model: Model, x: Tensor, goal: Goal, threat: Threat) -> Tensor:
        with torch.no_grad():
            seen = [goal(threat.through(model, x, threat.sample(x, Dice.of(1, s))))
                    for s in range(SAMPLES)]  # fmt: skip
        return torch.stack(seen).amax(0).double()

    @staticmethod
    def _linear(model: Model, x: Tensor, goal: Goal, threat: Threat) -> Tensor:
        start = x.detach().clone().requires_grad_()
        ways = goal.ways(model(start))
        found = []
        for way in ways.unbind(1):
            (slope,) = torch.autograd.grad(way.sum(), start, retain_graph=True)
            found.append(way.detach() + threat.radius * slope.flatten(1).abs().sum(1))  # type: ignore[attr-defined]
        return torch.stack(found, 1).amax(1).double()


def _unbiased(model: Model) -> nn.Module:
    """The model without the biases of its hidden layers: another function."""
    plain: nn.Module = deepcopy(model)  # type: ignore[assignment]
    layers = [m for m in plain.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        for layer in layers[:-1]:
            if layer.bias is not None and len(layer.bias) > 3:  # logits keep theirs
                layer.bias.zero_()
    return plain


@cache
def _cases(seed: int) -> tuple[list[Planted], int]:
    """The nets of a seed, and how many of the needles are hidden from gradient ascent."""
    edge = [on_the_edge(name, radius=0.02, seed=seed) for name in READ]
    needles = [needle(name, radius=0.02, seed=seed) for name in READ]
    attack = PGD(steps=20, restarts=2, climb="margin")
    hidden = sum(
        not bool(search(attack, c.model, c.x, c.goal, c.threat).broken.any()) for c in needles
    )
    return edge + needles, hidden


def trial(seed: int, mutant: str = "") -> Trial:
    """False proofs, among nets that are hidden from attack or just beyond the edge."""
    certifier: Certifier = _Mutant(mutant) if mutant else CROWN()
    cases, hidden = _cases(seed)
    found = soundness(certifier, cases)
    wrong = len({*found.false, *found.bounded})
    useful = hidden == len(READ) and found.refused == 0 and found.proved >= len(READ)
    return Trial(wrong, hidden, wrong == 0 and useful)


CLAIM = Claim(
    paper="soundnessbench",
    methods=("certifier:crown",),
    says="No net with a planted counterexample is proved nor bounded below it, at least half are "
    "proved at a small radius, and gradient ascent finds no needle; planted bugs are caught.",
    left="nets of 12 that are proved or bounded too low (must be 0)",
    right="needles of 6 that ascents of 20 steps do not find (must be 6)",
    trial=trial,
    seeds=(0, 1),
    mutants=(
        "samples-instead-of-bounds", "linear-at-the-centre", "forgets-biases", "half-the-radius",
    ),
    seconds=16,
)  # fmt: skip
