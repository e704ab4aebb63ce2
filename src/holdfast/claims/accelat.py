"""The rate falls exactly when the moving mean of accuracy has stopped rising."""

from __future__ import annotations

import torch

from holdfast.claims.harness import Claim, Trial
from holdfast.hooks.accel import reductions

EPOCHS, WINDOW, REST, LEAST = 60, 5, 5, 5e-3


def told(accuracy: list[float], mutant: str) -> list[int]:
    """What the rule says, or one of its bugs."""
    window = 1 if mutant == "follows-single-epochs" else WINDOW
    rest = 1 if mutant == "never-rests" else REST
    return reductions(accuracy, window, rest, 0.0 if mutant == "waits-for-a-fall" else LEAST)


def by_hand(accuracy: list[float]) -> list[int]:
    """The rule, epoch by epoch, with the moving mean from sums of all accuracies so far."""
    sums = torch.tensor([0.0, *accuracy], dtype=torch.float64).cumsum(0)
    ends = torch.arange(1, len(accuracy) + 1)
    starts = (ends - WINDOW).clamp(min=0)
    means = (sums[ends] - sums[starts]) / (ends - starts)
    found: list[int] = []
    for epoch in range(WINDOW + 1, len(accuracy)):
        rested = epoch - found[-1] >= REST if found else epoch >= REST
        if rested and float(means[epoch] - means[epoch - 1]) < LEAST:
            found.append(epoch)
    return found


def trial(seed: int, mutant: str = "") -> Trial:
    """Epochs at which the rate falls, on curves that rise, level off and tremble."""
    g = torch.Generator().manual_seed(seed)
    wrong = 0
    for _ in range(20):
        speed, height = (
            5 + 20 * torch.rand((), generator=g),
            0.4 + 0.5 * torch.rand((), generator=g),
        )
        curve = height * (1 - torch.exp(-torch.arange(EPOCHS) / speed))
        accuracy = (curve + 0.01 * torch.randn(EPOCHS, generator=g)).tolist()
        wrong += len(set(told(accuracy, mutant)) ^ set(by_hand(accuracy)))
    return Trial(wrong, 0, wrong == 0)


CLAIM = Claim(
    paper="accelat",
    methods=("hook:accelat",),
    says="On twenty noisy curves that level off the rate falls at exactly the epochs that the "
    "moving means, taken from sums of all epochs so far, say.",
    left="epochs at which the two disagree",
    right="0",
    trial=trial,
    mutants=("follows-single-epochs", "never-rests", "waits-for-a-fall"),
    seconds=2,
)
