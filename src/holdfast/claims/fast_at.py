"""One step in training is nearly as good as several, and a collapse of it is seen."""

from __future__ import annotations

from functools import cache
from statistics import mean

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import FGSM, PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.robust_scene import INNER, THREAT, hardened, robust, rows, small
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.kinds import Hook, Objective
from holdfast.hooks.replay import Replay
from holdfast.hooks.selection import RobustSelection
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.fast import FastAdversarialTraining
from holdfast.objectives.free import FreeAdversarialTraining
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

SEEDS, EPOCHS, PERIOD = (31, 32, 33), 30, 0.1
WAYS: dict[str, tuple[Objective, tuple[Hook, ...]]] = {
    "pgd-at": (AdversarialTraining(attack=INNER, threat=THREAT), ()),
    "fast": (FastAdversarialTraining(threat=THREAT), ()),
    "n-fgsm": (FastAdversarialTraining(threat=THREAT, noise=2.0, travel=1.0, bounded=False), ()),
    "grad-align": (FastAdversarialTraining(threat=THREAT, align=0.2), ()),
    "free": (FreeAdversarialTraining(threat=THREAT), (Replay(times=4),)),
    "steps-nowhere": (FastAdversarialTraining(threat=THREAT, noise=0.0, travel=1e-6), ()),
    "forgets-the-change": (FreeAdversarialTraining(threat=THREAT.scaled(0.0)), ()),
}


class _Bent(nn.Module):
    """Two classes on the mean input; once bent, the margin has the period of one full step."""

    bent = False

    def __init__(self) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        u = x.mean(1)
        side = torch.where(u > 0.5, 1.0, -1.0)
        wave = side * torch.cos(2 * torch.pi * (u - 0.5) / PERIOD + 0.5)
        margin = self.size * (wave if self.bent else 10 * (u - 0.5))
        return torch.stack([-margin, margin], 1)


def seen(seed: int, strong: PGD) -> tuple[bool, bool]:
    """Whether the watch stops a sound model, and one that only one step cannot break."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(64) % 2
    x = 0.3 + 0.4 * y[:, None] + 0.002 * torch.randn(64, 4, generator=g)
    hook = RobustSelection(
        held=Batches(x=x, y=y), threat=LInf(radius=PERIOD), attack=strong, fast=FGSM
    )
    model = _Bent()
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(64), 1)
    before = any(hook.epoch(run) for _ in range(3))
    model.bent = True
    return before, bool(hook.epoch(run))


@cache
def _robust(seed: int, name: str) -> float:
    """Robust accuracy of one way of training."""
    data, test = rows(seed)
    objective, hooks = WAYS[name]
    model = small(seed, 64)
    # A step for free costs one pass there and back, a fast one two: as many passes for both.
    epochs = 2 * EPOCHS if hooks else EPOCHS
    hardened(model, data, objective, epochs, hooks=hooks, seed=seed)
    return robust(model, test)


def trial(seed: int, mutant: str = "") -> Trial:
    """The least robust way against several steps, in the mean over the seeds, and the watch."""
    strong = FGSM if mutant == "watches-one-step" else PGD(steps=10, travel=2.5, climb="margin")
    if seen(seed, strong) != (False, True):
        return Trial(0.0, 1.0, False)
    names = (mutant,) if mutant else ("fast", "n-fgsm", "grad-align", "free")
    seeds = (seed,) if mutant else SEEDS
    short = max(mean(_robust(s, "pgd-at") - _robust(s, n) for s in seeds) for n in names)
    return Trial(min(_robust(seed, n) for n in names), _robust(seed, "pgd-at"), short <= 0.05)


CLAIM = Claim(
    paper="fast-at",
    methods=(
        "objective:fast-at", "objective:free-at", "hook:replay", "recipe:fast-at", "recipe:n-fgsm",
        "recipe:grad-align", "recipe:free-at",
    ),
    says="Training on one step (plain, with more noise, or with aligned slopes) and for free (in "
    "as many passes) loses at most 5 points of robust accuracy to training on several, in the mean "
    "over the seeds; a model that only one step cannot break is stopped, a sound one is not.",
    left="least robust accuracy of the four ways (l-inf 0.1)",
    right="robust accuracy of adversarial training",
    trial=trial,
    seeds=SEEDS,
    mutants=("steps-nowhere", "forgets-the-change", "watches-one-step"),
    seconds=40,
    quick=False,
)  # fmt: skip
