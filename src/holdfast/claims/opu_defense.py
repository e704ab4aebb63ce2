"""What an optical layer hides, and what is left of it once gradients are true."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.attacks.square import Square
from holdfast.backward.feedback import DirectFeedback
from holdfast.claims.digits import split
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack
from holdfast.layers.optical import OpticalHead, exposed, with_way
from holdfast.run.loop import Training
from holdfast.run.search import search
from holdfast.threats.norms import LInf

ROWS, EPOCHS, THREAT = 800, 20, LInf(radius=0.1)


def _net(seed: int, optical: bool) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = [nn.Linear(64, 128), nn.ReLU()]
        head = OpticalHead(128, 10, backward="none", masks=True, seed=seed)
        return nn.Sequential(*body, head if optical else nn.Linear(128, 10))


def held(model: nn.Module, rows: Batches, attack: Attack) -> float:
    """Share of rows that an attack leaves right."""
    x: Any = rows.x
    return float((~search(attack, model, x, Untargeted(rows.y), THREAT).broken).double().mean())


def clean(model: nn.Module, rows: Batches) -> float:
    """Share of rows that are right as they are."""
    x: Any = rows.x
    with torch.no_grad():
        return float((model(x).argmax(1) == rows.y).double().mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy under attack of a plain net and of an optical one, as it shows itself and truly."""
    data, test = split(seed, ROWS)
    rows, fast = test.take(slice(0, 200)), Later("torch:Adam", lr=2e-3)
    plain, optical = _net(seed, False), _net(seed, True)
    Training(epochs=EPOCHS, optimizer=fast)(plain, data)
    backward = "backward:backprop" if mutant == "learns-without-feedback" else DirectFeedback()
    Training(epochs=EPOCHS, optimizer=fast, backward=backward)(optical, data)
    shown = with_way(optical, "random")
    if mutant == "hides-nothing":
        shown = exposed(optical)
    pgd = PGD(steps=20, restarts=2)
    seen, base = held(shown, rows, pgd), held(plain, rows, pgd)
    honest = min(held(exposed(optical), rows, pgd), held(optical, rows, Square(steps=1000)))
    good = clean(optical, rows) >= clean(plain, rows) - 0.04
    return Trial(seen, base, good and seen >= base + 0.2 and honest <= seen - 0.15)


CLAIM = Claim(
    paper="opu-defense",
    methods=("backward:direct-feedback",),
    says="Attacked through its random backward pass an optical net keeps 20 points more accuracy "
    "than a plain one, at 4 of clean accuracy at most; true gradients and attacks without any "
    "take 15 points of that away, which is masking.",
    left="accuracy of the optical net under PGD through a random backward pass (l-inf 0.1)",
    right="accuracy of the plain net under PGD",
    trial=trial,
    mutants=("hides-nothing", "learns-without-feedback"),
    seconds=30,
    quick=False,
)
