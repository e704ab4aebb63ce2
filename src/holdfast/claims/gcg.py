"""Gradients that only rank tokens find better suffixes than as many random ones."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.edited import Edited
from holdfast.attacks.gcg import GCG
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_lm import TOKENS, small_lm
from holdfast.core.dice import Dice
from holdfast.core.goal import AtLeast
from holdfast.run.search import search
from holdfast.threats.edits import Edits
from holdfast.threats.slots import Slots

PROMPTS, KNOWN, FREE = 10, 5, 3


class _Downhill(GCG):
    """Mutant: the choices that lower the goal most are proposed."""

    def _proposals(
        self, x: Tensor, threat: Edits, change: Tensor, scores: Tensor, draws: Tensor
    ) -> Tensor:
        return super()._proposals(x, threat, change, -scores, draws)


class _Still(GCG):
    """Mutant: every step starts from the prompt as it was."""

    def _step(self, active: Edited) -> None:
        super()._step(active)
        active.own["change"] = active.edits.none(active.x)


MUTANTS = {"": GCG, "proposes-the-worst-choices": _Downhill, "never-moves": _Still}


def trial(seed: int, mutant: str = "") -> Trial:
    """Three free tokens behind each prompt; wanted is a token of rank 16 that never comes first.

    The goal is a log-probability of 0, so that no row leaves and losses can be compared.
    """
    model, texts = small_lm(seed)

    def last(ids: Tensor) -> Tensor:
        z: Tensor = model(ids)[:, -1].double().log_softmax(1)
        return z

    prompts = texts[:PROMPTS, :KNOWN].clamp(min=1)
    x = torch.cat([prompts, torch.zeros(PROMPTS, FREE, dtype=torch.int64)], 1)
    target = int(last(x).mean(0).argsort(descending=True)[15])
    goal = AtLeast(torch.zeros(PROMPTS, dtype=torch.float64), position=target)
    attack = MUTANTS[mutant](steps=12, topk=8, samples=32, together=32, climb="margin")
    threat = Slots(token=0, vocabulary=TOKENS, forbid=(0,))
    found = search(attack, last, x, goal, threat, dice=Dice.of(PROMPTS, seed))
    passes = int(sum(found.passes.per(PROMPTS)))
    g = torch.Generator().manual_seed(seed)
    random = torch.randint(1, TOKENS, (passes, PROMPTS, FREE), generator=g)
    many = torch.cat([prompts.expand(passes, -1, -1), random], 2)
    best = last(many.flatten(0, 1))[:, target].view(passes, PROMPTS).amax(0)
    left, right = float(-found.margin.mean()), float(-best.mean())
    honest = not bool((found.change == 0).all(1).any())
    return Trial(left, right, honest and left < right)


CLAIM = Claim(
    paper="gcg",
    methods=("attack:gcg", "threat:slots"),
    says="behind ten prompts to a small trained language model, three tokens found by greedy "
    "coordinate gradient give an unlikely token a smaller loss than the best of as many random "
    "triples as passes were spent",
    left="mean loss of the wanted token in nats, greedy coordinate gradient",
    right="mean loss in nats, best random triple",
    trial=trial,
    mutants=("proposes-the-worst-choices", "never-moves"),
    seconds=10,
    seeds=(101, 102, 103),
)
