"""The contract of the loop: what may be added without changing what is learned."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Objective, Run
from holdfast.hooks.ema import EMA
from holdfast.hooks.selection import RobustSelection
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.supervised import Supervised
from holdfast.run.loop import Control, Training
from holdfast.threats.norms import LInf

ROWS, EPOCHS = 40, 3
ATTACK = PGD(steps=3, climb="soft")
SGD = Later("torch:SGD", lr=0.3, momentum=0.9)
AT = AdversarialTraining(attack=ATTACK, threat=LInf(radius=0.05))


@settings
class _Leaks(AdversarialTraining):
    """Bug: the attack's backward pass reaches the weights."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        losses = super().__call__(run, batch)
        (0.1 * F.cross_entropy(run.model(batch.x), batch.y)).backward()
        return losses


@settings
class _Moves(AdversarialTraining):
    """Bug: the attack's forward passes move the running statistics."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        with torch.no_grad():
            run.model(batch.x)
        return super().__call__(run, batch)


OBJECTIVES = {
    "": AT,
    "leaks-gradients": _Leaks(attack=ATTACK),
    "moves-statistics": _Moves(attack=ATTACK),
}


def _net(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3)
        ).double()


def _data(seed: int, soft: bool = False) -> Batches:
    x = torch.rand(ROWS, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = x[:, :3].argmax(1)
    return Batches(x=x, y=F.one_hot(y, 3).double() if soft else y, size=8)


def _apart(a: nn.Module, b: nn.Module) -> float:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max(float((p.double() - q.double()).abs().max()) for p, q in pairs)


def _ours(seed: int, plan: Training, soft: bool = False, stop: int = 0) -> nn.Module:
    """After the loop; stopped once after so many steps and continued, if asked."""
    model, data, dice = _net(seed), _data(seed, soft), Dice.of(ROWS, seed)
    if not stop:
        plan(model, data, dice=dice)
        return model
    with tempfile.TemporaryDirectory() as folder:
        plan(model, data, dice=dice, control=Control(
            folder=Path(folder), progress=lambda run: run.step == stop))  # fmt: skip
        model = _net(seed + 1)
        plan(model, data, dice=dice, control=Control(folder=Path(folder)))
    return model


def _by_hand(seed: int) -> nn.Module:
    """Plain torch on the same batches."""
    model = _net(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    for epoch in range(EPOCHS):
        for batch in _data(seed).draw(Dice.of(ROWS, seed).spawn(f"epoch{epoch}")):
            optimizer.zero_grad()
            F.cross_entropy(model(batch.x), batch.y).backward()
            optimizer.step()
    return model


def trial(seed: int, mutant: str = "") -> Trial:
    """The largest distance between weights, and statistics, that ought to be the same."""

    def plan(objective: Objective) -> Training:
        return Training(objective=objective, optimizer=SGD, epochs=EPOCHS, schedule="constant")

    attacked = OBJECTIVES[mutant]
    harmless = plan(replace(attacked, threat=LInf(radius=0.0)))
    hooks = (EMA(swap=False), RobustSelection(held=_data(seed + 9), attack=ATTACK, keep="last"))
    whole = _ours(seed, plan(AT))
    apart = (
        _apart(_ours(seed, plan(Supervised())), _by_hand(seed)),
        _apart(_ours(seed, harmless), _by_hand(seed)),
        _apart(_ours(seed, replace(plan(AT), hooks=hooks)), whole),
        _apart(_ours(seed, plan(AT), stop=7), whole),
        _apart(_ours(seed, plan(AT), soft=True), whole),
    )
    return Trial(max(apart), 1e-12, max(apart) <= 1e-12)


CLAIM = Claim(
    paper="training-loop",
    methods=("hook:robust-selection",),
    says="The loop alone is the loop by hand; an attack of radius 0, hooks that only watch, a stop "
    "and a continuation, and labels as shares change no weight and no statistic.",
    left="largest distance of a weight or statistic from where it ought to be",
    right="1e-12",
    trial=trial,
    mutants=tuple(m for m in OBJECTIVES if m),
    seconds=5,
)
