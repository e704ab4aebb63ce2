"""One pass back gives every gradient: what finite differences give one weight at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.backward.backprop import Backprop
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.kinds import Backward, Objective, Run
from holdfast.objectives.supervised import Supervised
from holdfast.run.training import TrainingRun

STEP = 1e-5


class _Cut(nn.Module):
    """Bug: what lies before this layer gets no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


@settings
class _Sums(Backprop):
    """Bug: the gradient of the sum instead of the mean."""

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor:
        losses = objective(run, batch)
        losses.sum().backward()
        return losses.detach()


@settings
class _Replaces(Backprop):
    """Bug: forgets what earlier batches of the same step have left."""

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor:
        run.model.zero_grad()
        return super().__call__(run, batch, objective)


MUTANTS: dict[str, type[Backprop]] = {"sums": _Sums, "replaces": _Replaces}


def _run(seed: int, cut: bool) -> tuple[TrainingRun, tuple[Batch, Batch]]:
    g = torch.Generator().manual_seed(seed)
    middle = [_Cut()] if cut else []
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), *middle, nn.Linear(7, 6), nn.ReLU(),
                          nn.Linear(6, 3)).double()  # fmt: skip
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
    x = torch.randn(12, 5, generator=g, dtype=torch.float64)
    y = torch.randint(3, (12,), generator=g)
    whole = Batch(x, y, torch.arange(12))
    halves = whole.take(slice(0, 8)), whole.take(slice(8, 12))
    return TrainingRun(model, nn.ModuleDict(), Dice.of(12), 1), halves


def trial(seed: int, mutant: str = "") -> Trial:
    """Gradients of two batches against differences of their two mean losses."""
    run, halves = _run(seed, mutant == "cuts-the-chain")
    objective = Supervised()
    backward: Backward = MUTANTS.get(mutant, Backprop)()
    for batch in halves:
        backward(run, batch, objective)

    def height() -> float:
        with torch.no_grad():
            return sum(float(objective(run, batch).mean()) for batch in halves)

    off = 0.0
    for p in run.model.parameters():
        seen = torch.zeros_like(p) if p.grad is None else p.grad
        for i, value in enumerate(p.detach().flatten().tolist()):
            ends = []
            for way in (STEP, -STEP):
                p.data.view(-1)[i] = value + way
                ends.append(height())
            p.data.view(-1)[i] = value
            off = max(off, abs(float(seen.view(-1)[i]) - (ends[0] - ends[1]) / (2 * STEP)))
    return Trial(off, 1e-7, off <= 1e-7)


CLAIM = Claim(
    paper="rumelhart1986learning",
    methods=("backward:backprop",),
    says="After two batches every gradient is the sum of those of the two mean losses, as "
    "differences of the losses give it weight by weight.",
    left="largest distance of a gradient from the central difference",
    right="1e-7",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("cuts-the-chain", "sums", "replaces"),
    seconds=4,
)
