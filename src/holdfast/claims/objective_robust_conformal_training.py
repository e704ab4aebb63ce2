"""The smooth loss of robust conformal training, against its formula with another's quantile."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.objectives.conformal import RobustConformalTraining
from holdfast.run.training import TrainingRun

SIGMA, RADIUS, COPIES, ALPHA, WEIGHT, WIDTH = 0.3, 0.15, 3, 0.25, 0.5, 0.1
ROWS, CLASSES = 24, 4


def _formula(layer: nn.Module, x: Tensor, y: Tensor, dice: Dice) -> float:
    """Row by row, with the quantile of Harrell and Davis as scipy has it."""
    from scipy.stats.mstats import hdquantiles

    noise = SIGMA * dice.spawn("noise").normal((COPIES, 3), dtype=torch.float64)
    p = layer(x[:, None] + noise).softmax(-1).mean(1)
    q, half = torch.special.ndtri(p).detach(), len(x) // 2
    own = q[torch.arange(half), y[:half]]
    level = float(hdquantiles(own.numpy(), [ALPHA])[0]) - RADIUS / SIGMA
    out, large = 0.0, 0.0
    for row, label in zip(q[half:], y[half:], strict=True):
        inside = [1 / (1 + float(torch.exp(-(v - level) / WIDTH))) for v in row]
        out += (1 - inside[int(label)]) / (len(x) - half)
        large += max(sum(inside) - 1, 0.0) / (len(x) - half)
    return float(torch.tensor(out + WEIGHT * large + 1e-8, dtype=torch.float64).log())


def trial(seed: int, mutant: str = "") -> Trial:
    """How far the loss of a batch lies from the formula."""
    g = torch.Generator().manual_seed(seed)
    layer = nn.Linear(3, CLASSES).double()
    with torch.no_grad():
        layer.weight.copy_(2 * torch.randn(CLASSES, 3, generator=g, dtype=torch.float64))
        layer.bias.zero_()
    x = torch.rand(ROWS, 3, generator=g, dtype=torch.float64)
    y = torch.randint(CLASSES, (ROWS,), generator=g)
    method = RobustConformalTraining(
        sigma=SIGMA, radius=0.0 if mutant == "forgets-the-radius" else RADIUS, copies=COPIES,
        alpha=1 - ALPHA if mutant == "other-tail" else ALPHA, weight=WEIGHT, temperature=WIDTH,
    )  # fmt: skip
    batch = Batches(x=x, y=y).whole
    run = TrainingRun(layer, nn.ModuleDict(), Dice(0, batch.index), 1)
    run.own([method])
    found = float(method(run, batch)[0].detach())
    off = abs(found - _formula(layer, x, y, Dice(0, batch.index)))
    return Trial(off, 1e-8, off <= 1e-8)


CLAIM = Claim(
    paper="objective:robust-conformal-training",
    methods=("objective:robust-conformal-training",),
    says="The loss of a batch is the formula: how far labels are out and sets too large beyond a "
    "smooth quantile that is lowered by radius / sigma.",
    left="distance of the loss from the formula",
    right="1e-8",
    trial=trial,
    mutants=("forgets-the-radius", "other-tail"),
    seconds=2,
)
