"""Corruptions of medical pictures cost accuracy; training with them wins some of it back."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.pasted import scenes, trained
from holdfast.core.catalog import find
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.kinds import Shift
from holdfast.shifts.medmnist import Targeted, medmnist_c

TRAIN, TEST, SET = slice(0, 450), slice(450, 650), "derma"
OWN = ("stain-deposit", "bubble", "black-corner", "characters", "gamma")


def _faint(seed: int, rows: slice) -> Batches:
    """Objects of low contrast, as in medical pictures."""
    data = scenes(seed, rows, 0.0)
    x: Tensor = data.x  # type: ignore[assignment]
    return replace(data, x=0.35 + 0.3 * x)


@cache
def _model(seed: int, targeted: bool) -> nn.Sequential:
    """Trained on the images as they are, or on three copies with one corruption each."""
    data = _faint(seed, TRAIN)
    if not targeted:
        return trained(seed, replace(data, size=150), epochs=60)
    copies = [Targeted(SET)(data.whole, Dice.of(len(data), seed, f"copy{k}")).x for k in range(3)]
    every = Batches(x=torch.cat(copies), y=data.y.repeat(3), size=150)  # type: ignore[arg-type]
    return trained(seed, every, epochs=20)


def _error(model: nn.Module, data: Batches, shift: Shift, severity: float, seed: int) -> float:
    out = shift(data.whole, severity, Dice(seed, data.index))
    x: Tensor = out.x  # type: ignore[assignment]
    with torch.no_grad():
        found: float = find("measure:balanced-error").thing(model(x), out.y).value
    return found


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean balanced error over kinds and levels after plain and after targeted training."""
    data = _faint(seed, TEST)
    models = _model(seed, False), _model(seed, mutant != "no-augmentation")
    levels = (0.0, 0.0) if mutant == "severity-zero" else (0.8, 1.0)
    kinds = {n: [sum(_error(m, data, s, v, seed) for v in levels) / 2 for m in models]
             for n, s in medmnist_c(SET).items()}  # fmt: skip
    plain, helped = (sum(k[i] for k in kinds.values()) / len(kinds) for i in range(2))
    clean = [_error(m, data, medmnist_c(SET)["jpeg"], 0.0, seed) for m in models]
    other = [_error(models[0], data, find(f"shift:{n}").thing, 1.0, seed) for n in OWN]
    costs = plain > clean[0] + 0.05 and sum(other) / len(other) > clean[0] + 0.02
    holds = costs and helped < plain - 0.02 and clean[1] < clean[0] + 0.03
    return Trial(helped, plain, holds)


CLAIM = Claim(
    paper="medmnist-c",
    methods=(*(f"shift:{n}" for n in OWN), "measure:balanced-error"),
    says="Corruptions of one data set cost 5 points of balanced error or more; training with them "
    "wins 2 or more back on average, and costs less than 3 without corruption.",
    left="mean balanced error over 15 kinds after training with them (share)",
    right="the same after plain training",
    trial=trial,
    mutants=("no-augmentation", "severity-zero"),
    seeds=(0, 1),
    seconds=10,
)
