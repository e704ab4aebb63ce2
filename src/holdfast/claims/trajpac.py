"""PAC certificates of a forecaster: the widened affine model fails as seldom as promised."""

from __future__ import annotations

from unittest.mock import patch

import torch
from scipy.stats import binom
from torch import Tensor

from holdfast.certify import pac
from holdfast.certify.pac import PACAffine
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.core.strays import Strays
from holdfast.threats.norms import LInf

CERTIFICATES, ERROR, SIGNIFICANCE, SAMPLES = 200, 0.05, 0.1, 1500
_real = pac._sampled


class _Forecast:
    """Constant velocity and a bounded turn: two pasts of four steps give three steps ahead."""

    def __init__(self, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        self.turn = torch.randn(8, 6, generator=g, dtype=torch.float64)

    def __call__(self, past: Tensor) -> Tensor:
        steps = torch.arange(1, 4, dtype=past.dtype)[:, None]
        straight = past[:, -1:] + (past[:, -1] - past[:, -2])[:, None] * steps
        return straight + 0.2 * (4 * past.flatten(1) @ self.turn).sin().reshape(-1, 3, 2)


class _Few(PACAffine):
    """Bug: a third of the fresh samples."""

    @property
    def fresh(self) -> int:
        return super().fresh // 3


def _reused(
    model: Model, x: Tensor, goal: Goal, threat: Threat, count: int, dice: Dice
) -> tuple[Tensor, Tensor]:
    """Bug: the samples that give the slack are those that made the model."""
    return _real(model, x, goal, threat, count, Dice(dice.seed, dice.keys, "same"))


def trial(seed: int, mutant: str = "") -> Trial:
    """How many of 200 certificates more than 5 % of fresh changes leave."""
    forecast, threat = _Forecast(seed), LInf(radius=0.05)
    past = torch.rand(1, 4, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = past.expand(CERTIFICATES, -1, -1)
    goal = Strays(forecast(past).expand(CERTIFICATES, -1, -1) + 0.1, 1.0)
    kind = _Few if mutant == "too-few-samples" else PACAffine
    method = kind(error=ERROR, significance=SIGNIFICANCE, fit=40)
    with patch.object(pac, "_sampled", _reused if mutant == "reuses-samples" else _real):
        found = method.model_of(forecast, x, goal, threat, dice=Dice.of(CERTIFICATES, seed))
    slack = found.slack / 2 if mutant == "half-slack" else found.slack
    change = threat.sample(past.expand(SAMPLES, -1, -1), Dice.of(SAMPLES, seed + 1))
    margin = Strays(goal.references[:1].expand(SAMPLES, -1, -1), 1.0)(forecast(past + change))
    said = found.slope.flatten(1) @ change.flatten(1).T + found.bias[:, None]
    left = ((margin - said).abs() > slack[:, None]).double().mean(1)
    # What is seen of 5 % in 1,500 samples varies; only clear violations are counted.
    wrong = int((left > ERROR + 0.01).sum())
    limit = int(binom.ppf(1 - 1e-4, CERTIFICATES, SIGNIFICANCE))
    return Trial(wrong, limit, wrong <= limit)


CLAIM = Claim(
    paper="trajpac",
    methods=("certifier:pac",),
    says="At significance 0.1, no more than chance allows of 200 PAC models of a forecaster are "
    "left by more than 5 % of fresh changes.",
    left="models that more than 6 % of 1,500 fresh changes leave",
    right="largest number that chance allows at that significance, at level 1e-4",
    trial=trial,
    seeds=(91, 92, 93),
    mutants=("too-few-samples", "reuses-samples", "half-slack"),
    seconds=5,
)
