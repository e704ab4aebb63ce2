"""The mean of the weights is nearer to the optimum than the last weights."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.kinds import Run, State
from holdfast.hooks.ema import EMA
from holdfast.run.training import TrainingRun


@settings
class Uncorrected(EMA):
    """The mutant: starts at zero and forgets to correct for it."""

    def averaged(self, run: Run) -> State:
        return {name: mean.clone() for name, mean in run.memory(self)["means"].items()}


def trial(seed: int, mutant: str = "") -> Trial:
    """Squared distances from the optimum in a noisy bowl at a constant rate."""
    hook = {"": EMA, "forgets-the-start": Uncorrected, "swaps-the-shares": EMA}[mutant](
        decay=0.01 if mutant == "swaps-the-shares" else 0.99
    )
    g = torch.Generator().manual_seed(seed)
    model = nn.Linear(50, 1, bias=False).double()
    model.weight.data.fill_(30.0)
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(1), 400)
    for _ in range(400):
        noise = torch.randn(1, 50, generator=g, dtype=torch.float64)
        with torch.no_grad():
            model.weight -= 0.5 * (model.weight - 30.0 + noise)
        hook.stepped(run)
    mean = float((hook.averaged(run)["weight"] - 30).square().mean())
    last = float((model.weight.detach() - 30).square().mean())
    return Trial(mean, last, mean < 0.2 * last)


CLAIM = Claim(
    paper="swa-ema",
    methods=("hook:ema",),
    says="With noisy gradients the mean is more than five times nearer in squared distance.",
    left="squared distance of the mean from the optimum",
    right="squared distance of the last weights from it",
    trial=trial,
    mutants=("forgets-the-start", "swaps-the-shares"),
    seconds=5,
)
