"""Two teachers: weights and temperatures against their rules, losses against the formula."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.objectives.mtard import TwoTeachers, cooled, entropy
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

OBJECTIVE = replace(
    TwoTeachers.example(None), threat=LInf(radius=0.1), attack=PGD(steps=2, start="none")
)


def batch() -> Batch:
    x = torch.rand(7, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, torch.arange(7) % 3, torch.arange(7))


def run_of(model) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(7), 1)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def kl(p, z):
    return (p.softmax(1) * (p.log_softmax(1) - z.log_softmax(1))).sum(1)


def test_first_batch_is_half_of_each_divergence():
    model, b = net(), batch()
    losses = OBJECTIVE(run_of(model), b)
    best, height = None, None
    x = b.x.clone().requires_grad_()
    change = torch.zeros_like(b.x)
    for _ in range(3):  # two sign steps of 2.5 radii in all, as PGD takes them
        x = (b.x + change).requires_grad_()
        z = model(x)
        loss = torch.nn.functional.cross_entropy(z, b.y, reduction="none")
        value = loss.detach()
        if best is None:
            best, height = change.clone(), value.clone()
        better = value > height
        best[better], height[better] = change[better], value[better]
        (g,) = torch.autograd.grad(loss.sum(), x)
        step_size = OBJECTIVE.attack.travel * 0.1 / 2
        change = (change + step_size * g.sign()).clamp(-0.1, 0.1)
        change = (b.x + change).clamp(0, 1) - b.x
    expected = (
        kl(OBJECTIVE.clean(b.x), model(b.x)) + kl(OBJECTIVE.robust(b.x + best), model(b.x + best))
    ) / 2
    assert torch.allclose(losses, expected, atol=1e-9)


def test_the_weight_converges_to_the_share_of_constant_losses():
    run, objective = run_of(net()), replace(OBJECTIVE, pace=0.1)
    assert objective._weight(run, 2.0, 5.0) == 0.5  # the first batch sets the scale
    for _ in range(200):
        weight = objective._weight(run, 1.0, 7.5)  # a half and three halves of the start
        assert 0 <= weight <= 1
    assert weight == pytest.approx(0.25)


def test_equal_relative_losses_keep_one_half():
    run = run_of(net())
    assert {OBJECTIVE._weight(run, v, 3 * v) for v in (4.0, 2.0, 1.0, 0.5)} == {0.5}


def test_temperatures_bring_entropies_together():
    g = torch.Generator().manual_seed(2)
    z = [torch.randn(50, 5, generator=g), 6 * torch.randn(50, 5, generator=g)]
    heats, gaps = [1.0, 1.0], []
    for _ in range(60):
        h = [float(entropy(a / t)) for a, t in zip(z, heats, strict=True)]
        gaps.append(abs(h[0] - h[1]))
        heats = [cooled(z[k], h[k], h[1 - k], heats[k], 0.01) for k in (0, 1)]
    assert all(b < a for a, b in pairwise(gaps))
    assert entropy(torch.zeros(3, 4)) == pytest.approx(torch.tensor(4.0).log())


def test_nothing_to_learn_from_itself():
    model = net()
    objective = replace(OBJECTIVE, clean=model, robust=model)
    assert float(objective(run_of(model), batch()).detach().abs().max()) < 1e-12


def test_needs_both_teachers():
    with pytest.raises(ConfigError, match="teacher") as raised:
        TwoTeachers(clean=net())(run_of(net()), batch())
    assert raised.value.fix == "Pass robust=model."
