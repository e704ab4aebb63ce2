"""Three tasks of permuted digits in turn: what is left of the first one's robustness."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.digits import split
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.short_runs import INNER, THREAT, robust
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.recipes.continual import Continual

TASKS, ROWS, HELD, EPOCHS = 3, 300, 200, 25
KINDS = {"": (0.97, 0.97), "outputs": (0.97, 0.0), "plain": (0.0, 0.0)}


@cache
def _data(seed: int) -> tuple[Batches, Batches]:
    """All tasks as groups of rows, each with its own order of the pixels; held-out rows of the
    first one.
    """
    data, test = split(seed, ROWS)
    x: Tensor = data.x  # type: ignore[assignment]
    g = torch.Generator().manual_seed(seed)
    orders = [torch.arange(64), *(torch.randperm(64, generator=g) for _ in range(TASKS - 1))]
    every = Batches(
        x=torch.cat([x[:, order] for order in orders]), y=data.y.repeat(TASKS), size=100,
        group=torch.arange(TASKS).repeat_interleave(ROWS),
    )  # fmt: skip
    return every, test.take(slice(0, HELD))


@cache
def _left(seed: int, kind: str) -> float:
    """Robust accuracy on the first task after all of them."""
    data, test = _data(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10)
        )
    outputs, slopes = KINDS[kind]
    recipe = Continual(
        objective=AdversarialTraining(threat=THREAT, attack=INNER), epochs=EPOCHS,
        optimizer=Later("torch:SGD", lr=0.05, momentum=0.9), outputs=outputs, slopes=slopes,
    )  # fmt: skip
    recipe(model, data, dice=Dice.of(len(data), seed))
    return robust(model, test)


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy on the first task with projections and without."""
    kind = {"forgets-projection": "plain", "keeps-outputs-alone": "outputs"}.get(mutant, "")
    ours, plain, outputs = (_left(seed, k) for k in (kind, "plain", "outputs"))
    return Trial(ours, plain, ours > plain + 0.15 and ours > outputs)


CLAIM = Claim(
    paper="dgp-robust-continual",
    methods=("hook:projected", "recipe:continual"),
    says="After three tasks of permuted digits in turn, 15 points more robust accuracy are left on "
    "the first one than with plain steps, and more than with projections for outputs alone.",
    left="robust accuracy on the first task with both projections",
    right="with plain steps",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("forgets-projection", "keeps-outputs-alone"),
    seconds=40,
    quick=False,
    known="does not hold",
    why="the 3 % of energy that is left free suffices to spoil robustness, though not accuracy; at "
    "0.999 some 40 points stay, against 27 with outputs alone, but the later tasks are not learned",
)
