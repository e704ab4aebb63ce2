"""Domain-invariant training against TRADES, a twin written out, and its turned gradient."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.objectives.adversary import LargestLoss, goal_of, worst
from holdfast.objectives.dial import DomainInvariant, reversed_gradient
from holdfast.objectives.trades import Trades
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

STILL = PGD(steps=2, start="none")
DIAL = DomainInvariant(threat=LInf(radius=0.1), kind="ce", weight=2.0, domain=3.0, attack=STILL)


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def batch() -> Batch:
    x = torch.rand(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, torch.arange(7) % 3, torch.arange(7))


def run_of(model: nn.Module, objective: DomainInvariant, progress: float = 0.0) -> TrainingRun:
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(7), 1)
    run.parts["objective"] = objective.parts(model)
    run.progress = progress
    return run


def test_reversed_gradient_is_the_identity_forwards():
    h = torch.randn(4, 3, requires_grad=True)
    out = reversed_gradient(h, 0.7)
    (g,) = torch.autograd.grad((out * torch.arange(3.0)).sum(), h)
    assert torch.equal(out, h) and torch.allclose(g, -0.7 * torch.arange(3.0).expand(4, 3))


def test_without_a_domain_it_is_trades():
    model = net()
    objective = DomainInvariant(threat=LInf(radius=0.1), weight=4.0, domain=0.0)
    losses = objective(run_of(model, objective), batch())
    twin = Trades(threat=LInf(radius=0.1), weight=4.0)(run_of(model, objective), batch())
    assert torch.equal(losses, twin)


def test_losses_and_gradients_are_those_of_the_formula():
    model, b = net(), batch()
    run = run_of(model, DIAL, progress=0.2)
    head = run.parts["objective"]
    losses = DIAL(run, b)
    goal, own = LargestLoss(goal_of(b.y)), run_of(model, DIAL).dice.spawn("attack")
    change = worst(DIAL.attack, model, b.x, goal, DIAL.threat, own, DIAL.mode)
    phi, last = model[:2], model[2]
    h = [phi(b.x), phi(b.x + change)]
    z = [last(v) for v in h]
    zeros, ones = torch.zeros(7).long(), torch.ones(7).long()
    told = [
        F.cross_entropy(head(v), d, reduction="none") for v, d in zip(h, (zeros, ones), strict=True)
    ]
    task = F.cross_entropy(z[0], b.y, reduction="none")
    task = task + 2 * F.cross_entropy(z[1], b.y, reduction="none")
    assert torch.allclose(losses, task + 3 * (told[0] + told[1]), atol=1e-10)
    alpha = 2 / (1 + math.exp(-2)) - 1
    body, own = list(phi.parameters()), list(head.parameters())
    ours = torch.autograd.grad(losses.mean(), [*body, *own], retain_graph=True)
    both = 3 * (told[0] + told[1]).mean()
    of_task = torch.autograd.grad(task.mean(), body, retain_graph=True)
    of_head = torch.autograd.grad(both, body, retain_graph=True)
    theirs = [t - alpha * d for t, d in zip(of_task, of_head, strict=True)]
    theirs += torch.autograd.grad(both, own)
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(ours, theirs, strict=True))


def test_at_radius_zero_both_domains_are_one():
    model = net()
    still = replace(DIAL, threat=LInf(radius=0.0))
    run = run_of(model, still)
    told = still(run, batch()) - 3 * F.cross_entropy(model(batch().x), batch().y, reduction="none")
    p = run.parts["objective"](model[:2](batch().x)).log_softmax(1)
    assert torch.allclose(told, -3 * p.sum(1), atol=1e-10)


def test_a_model_without_a_linear_layer_is_refused():
    with pytest.raises(Unsupported, match="linear"):
        DIAL.parts(nn.Sequential(nn.Conv2d(1, 2, 3)))
