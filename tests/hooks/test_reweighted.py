"""Worst weights against their limits, autograd, a solver, and the running mean."""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.hooks.reweighted import KLReweighting, kl_dro, kl_dro_weights
from holdfast.run.training import TrainingRun


def losses(n: int = 7) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    return 3 * torch.rand(n, generator=g, dtype=torch.float64)


def test_value_lies_between_mean_and_largest_and_its_gradient_is_the_weights() -> None:
    given = losses().requires_grad_()
    for t in (0.1, 1.0, 10.0):
        value = kl_dro(given, t)
        assert given.mean() < value < given.max()
        (slope,) = torch.autograd.grad(value, given)
        assert torch.allclose(slope, kl_dro_weights(given, t), atol=1e-12)
    assert abs(kl_dro(given, 1e4) - given.mean()) < 1e-3
    assert abs(kl_dro(given, 1e-3) - given.max()) < 1e-2


def test_is_the_solution_of_the_inner_problem() -> None:
    given, t = losses().numpy(), 0.7

    def price(w):
        return -(w @ given) + t * np.sum(w * np.log(np.maximum(w, 1e-300) * len(w)))

    found = minimize(
        price, np.full(7, 1 / 7), method="SLSQP", bounds=[(1e-9, 1)] * 7,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, options={"ftol": 1e-14},
    )  # fmt: skip
    assert np.allclose(found.x, kl_dro_weights(losses(), t).numpy(), atol=1e-5)
    assert abs(-found.fun - float(kl_dro(losses(), t))) < 1e-9


def test_gradient_uses_the_running_mean_and_the_value_stays() -> None:
    hook = KLReweighting(temperature=0.5, momentum=0.9, warmup=0.0)
    run = TrainingRun(nn.Linear(1, 1), nn.ModuleDict(), Dice.of(7), 10)
    batch = Batch(torch.zeros(7, 1), torch.zeros(7).long(), torch.arange(7))
    mean = 0.0
    for step in range(4):
        given = (losses() + step).requires_grad_()
        made = hook.losses(run, batch, given)
        assert torch.allclose(made.detach(), given.detach(), atol=1e-12)
        (slope,) = torch.autograd.grad(made.sum(), given)
        each = (given.detach() / 0.5).exp()
        mean = float(each.mean()) if step == 0 else 0.9 * mean + 0.1 * float(each.mean())
        assert torch.allclose(slope, each / mean, atol=1e-9)
        if step == 0:  # the batch's own weights, times the batch
            assert torch.allclose(slope, 7 * kl_dro_weights(given.detach(), 0.5), atol=1e-9)


def test_equal_losses_weigh_one_and_warm_up_changes_nothing() -> None:
    run = TrainingRun(nn.Linear(1, 1), nn.ModuleDict(), Dice.of(7), 10)
    batch = Batch(torch.zeros(7, 1), torch.zeros(7).long(), torch.arange(7))
    hook, same = KLReweighting(warmup=0.0), torch.full((7,), 40.0).requires_grad_()
    for _ in range(3):
        (slope,) = torch.autograd.grad(hook.losses(run, batch, same).sum(), same)
        assert torch.allclose(slope, torch.ones(7), atol=1e-6)
    assert KLReweighting(warmup=0.1).losses(run, batch, same) is same
