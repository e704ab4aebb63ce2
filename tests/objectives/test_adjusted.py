"""Moved logits: the optimum is free of the shares of classes, counts are those of all batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.objectives.adjusted import LogitAdjusted
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun

COUNTS = torch.tensor([150, 30, 6])


def biased(objective: object) -> torch.Tensor:
    """Logits of a net that sees nothing but a constant, after learning uneven labels."""
    y = torch.arange(3).repeat_interleave(COUNTS)
    net = nn.Linear(1, 3).double()
    x = torch.ones(len(y), 1).double()
    plan = Training(
        objective=objective,  # type: ignore[arg-type]
        optimizer=Later("torch:Adam", lr=0.05), epochs=200,
    )  # fmt: skip
    plan(net, Batches(x=x, y=y, size=len(y)))
    with torch.no_grad():
        z: torch.Tensor = net(x[:1])[0]
    return z - z.mean()


def test_what_is_left_in_the_logits_does_without_the_shares_of_the_classes() -> None:
    shares = COUNTS.double() / COUNTS.sum()
    expected = shares.log() - shares.log().mean()
    assert torch.allclose(biased("objective:supervised"), expected, atol=0.05)
    # What is seen tells no class apart, so all of them are equally likely once shares are known.
    assert torch.allclose(biased(LogitAdjusted()), torch.zeros(3).double(), atol=0.08)
    assert torch.allclose(biased(LogitAdjusted(weight=0.0)), expected, atol=0.05)


def test_loss_is_the_written_formula_with_counts_of_all_batches() -> None:
    model, objective = nn.Linear(2, 3).double(), LogitAdjusted(weight=0.7)
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(4), 10)
    run.own([objective])
    x = torch.rand(4, 2, generator=torch.Generator().manual_seed(0)).double()
    seen = torch.ones(3).double()
    for labels in ([0, 0, 0, 1], [0, 0, 2, -100]):
        y = torch.tensor(labels)
        for k in (k for k in labels if k >= 0):
            seen[k] += 1
        z = model(x) + 0.7 * (seen / seen.sum()).log()
        naive = F.cross_entropy(z, y, reduction="none")
        made = objective(run, Batch(x, y, torch.arange(4)))
        assert torch.allclose(made, naive, atol=1e-12) and made.shape == (4,)


def test_label_shares_and_tokens_are_counted_alike() -> None:
    objective, hot = LogitAdjusted(), torch.tensor([0, 2, 2, 1])
    run = TrainingRun(nn.Linear(1, 3), nn.ModuleDict(), Dice.of(4), 10)
    for y in (hot, hot[None], F.one_hot(hot, 3).double()):
        run.memory(objective).clear()
        made = objective.shares(run, y, 3)
        assert torch.allclose(made, torch.tensor([2, 2, 3]).double() / 7)
