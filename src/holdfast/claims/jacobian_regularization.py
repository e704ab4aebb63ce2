"""A price on slopes against none: slopes, accuracy under one step and under noise."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import FGSM
from holdfast.claims.digits import accuracy, split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batch
from holdfast.core.fields import settings
from holdfast.core.goal import Untargeted, logits
from holdfast.core.kinds import Objective, Run
from holdfast.objectives.jacobian import JacobianNorm
from holdfast.objectives.penalized import Penalized
from holdfast.run.search import search
from holdfast.threats.norms import LInf

ROWS, EPOCHS, WEIGHT = 300, 60, 0.01


@settings
class Detached(JacobianNorm):
    """Bug: no gradient flows through the slopes."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        return super().__call__(run, batch).detach() + 0 * logits(run.model(batch.x)).sum(1)


@settings
class OfTheSum(JacobianNorm):
    """Bug: the slope of the sum of all logits, which the loss does not see."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = batch.x.detach().requires_grad_()  # type: ignore[union-attr]
        z = logits(run.model(x)).sum()
        (found,) = torch.autograd.grad(z, x, create_graph=True)
        return found.flatten(1).square().sum(1) / 2


PENALTIES: dict[str, Objective] = {
    "": JacobianNorm(), "detached": Detached(), "slope-of-the-sum": OfTheSum(),
}  # fmt: skip


@cache
def _net(seed: int, kind: str) -> nn.Module:
    objective: Objective | str = "objective:supervised"
    if kind in PENALTIES:
        objective = Penalized(penalty=PENALTIES[kind], weight=WEIGHT)
    return trained(seed, split(seed, ROWS)[0], objective, EPOCHS)


def _score(seed: int, kind: str) -> tuple[float, float, float, float]:
    """Mean norm of the Jacobian, accuracy as usual, under one step of 0.05, under noise of 0.3."""
    model, test = _net(seed, kind), split(seed, ROWS)[1]
    x: Tensor = test.x  # type: ignore[assignment]
    slopes = torch.func.vmap(torch.func.jacrev(lambda row: model(row[None])[0]))(x[:200])
    size = float(slopes.detach().flatten(1).norm(dim=1).mean())
    found = search(FGSM, model, x, Untargeted(test.y), LInf(radius=0.05))
    noise = 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    noisy = accuracy(model, replace(test, x=(x + noise).clamp(0, 1)))
    return size, accuracy(model, test), 1 - float(found.broken.double().mean()), noisy


def trial(seed: int, mutant: str = "") -> Trial:
    """Norm of the Jacobian with the price and 0.7 times that without it."""
    small, usual, hard, noisy = _score(seed, mutant)
    large, before, weak, blurred = _score(seed, "plain")
    better = hard > weak and noisy > blurred and usual >= before - 0.015
    return Trial(small, 0.7 * large, small < 0.7 * large and better)


CLAIM = Claim(
    paper="jacobian-regularization",
    methods=("objective:jacobian", "objective:penalized", "recipe:jacobian"),
    says="A price of 0.01 on the squared slopes of the logits lowers their norm on held-out digits "
    "by more than 30 percent, gains accuracy under one step of 0.05 and under noise of 0.3, and "
    "costs less than a point and a half.",
    left="mean norm of the Jacobian with the price",
    right="0.7 times that without",
    trial=trial,
    seeds=(1, 2, 3),
    mutants=("detached", "slope-of-the-sum"),
    seconds=20,
    quick=False,
)
