"""Adversarial examples betray the copy that they were made on."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.digits import accuracy, split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.endless import LargestLoss
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.defend.traced import Traced, trace, traced
from holdfast.defend.traced import Tracer as PrivateNet
from holdfast.objectives.tracer import Tracer
from holdfast.run.loop import Training
from holdfast.threats.norms import LInf

COPIES, ROWS, CROWD = 4, 800, 10
THREAT = LInf(radius=0.15)
STEEP = PGD(steps=20, climb="soft")


@cache
def scene(seed: int, mutant: str) -> tuple[nn.Module, list[Traced], Batches, Tensor]:
    """A classifier, four copies of it, unseen rows, and rows for the scale of the tracers."""
    data, test = split(seed, ROWS)
    base = trained(seed, data, "objective:supervised", 20)
    copies = []
    for number in range(COPIES):
        own = 100 * seed + (0 if mutant == "one-tracer-for-all" else number)
        tracer = PrivateNet(64, 10, seed=own)
        objective = Tracer(base=base, weight=1.0)
        fast = Later("torch:Adam", lr=3e-3)
        plan = Training(objective=objective, epochs=20, optimizer=fast)
        plan(tracer, data, dice=Dice.of(len(data), own))
        copies.append(traced(base, tracer=tracer))
    return base, copies, test, data.whole.x  # type: ignore[return-value]


def _found(
    seed: int, copies: list[Traced], test: Batches, trusted: Tensor, mutant: str
) -> tuple[float, float, float]:
    """Attacks traced to their copy from one row and from ten; how unevenly noise is blamed."""
    one, ten = [], []
    noise: list[float] = []
    x: Any = test.x[:200]  # type: ignore[index]
    y = test.y[:200]
    for number, copy in enumerate(copies):
        # As published, the attack goes on after the first mistake: at the boundary itself the
        # tracer has hardly been moved.
        goal = LargestLoss(Untargeted(y))
        change = STEEP(copy, x, goal, THREAT, dice=Dice.of(200, seed))
        with torch.no_grad():
            before, after = (copy(v).argmax(1) for v in (x, x + change))  # type: ignore[union-attr]
        rows = ((before == y) & (after != y)).nonzero().flatten()
        bad, true, answer = (x + change)[rows], y[rows], after[rows]
        if mutant == "scores-the-truth":
            answer, true = true, answer
        scores = trace(copies, bad, answer, true, trusted=trusted).scores
        one.append((scores.argmax(0) == number).double())
        groups = scores[:, : len(rows) // CROWD * CROWD].unflatten(1, (-1, CROWD)).mean(2)
        ten.append((groups.argmax(0) == number).double())
        signs = 2.0 * Dice.of(200, seed + 7).integers(2, (64,)) - 1
        blind = (x + THREAT.radius * signs).clamp(0, 1)
        guess = (y + 1 + Dice.of(200, seed + 8).integers(9)) % 10
        blank = trace(copies, blind, guess, y, trusted=trusted).scores
        noise.append(float((blank.argmax(0) == number).double().mean()))
    off = max(abs(share - 1 / COPIES) for share in noise)
    return float(torch.cat(one).mean()), float(torch.cat(ten).mean()), off


def trial(seed: int, mutant: str = "") -> Trial:
    """Tracing from one and from ten examples, by chance from noise, and the price in accuracy."""
    base, copies, test, trusted = scene(seed, mutant)
    one, ten, noise = _found(seed, copies, test, trusted, mutant)
    with torch.no_grad():
        x: Any = test.x
        kept = min(float((c(x).argmax(1) == test.y).double().mean()) for c in copies)  # type: ignore[union-attr]
    whole = accuracy(base, test)
    good = one >= 0.6 and ten >= 0.9 and noise <= 0.1 and kept >= whole - 0.02
    return Trial(one, 0.25, good)


CLAIM = Claim(
    paper="attack-tracing",
    methods=("defence:traced", "objective:tracer"),
    says="Of four copies the attacked one is found from one example in 60 % of cases and from ten "
    "in 90 %, from noise by chance only, for at most 2 points of clean accuracy.",
    left="attacks traced to their copy from one example",
    right="by chance",
    trial=trial,
    mutants=("one-tracer-for-all", "scores-the-truth"),
    seeds=(21, 22, 23),
    seconds=40,
    quick=False,
    known="does not hold",
    why="from one example 43 to 60 % are traced, although the attack goes on after the first "
    "mistake, and noise is not blamed evenly; the tracers' loss is ours, the published one is not "
    "known",
)
