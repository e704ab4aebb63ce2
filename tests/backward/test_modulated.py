"""Errors of one size, and adaptation against a naive loop over tasks."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.backward.backprop import Backprop
from holdfast.backward.meta import FirstOrderMAML
from holdfast.backward.modulated import Modulated
from holdfast.core.dice import Dice
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.supervised import Supervised
from holdfast.run.training import TrainingRun
from holdfast.testing.laws.objective import world
from holdfast.threats.norms import LInf


def after(backward, objective, model, batch, progress=0.0):
    run = TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)
    run.progress = progress
    losses = backward(run, batch, objective)
    return losses, [p.grad.clone() for p in model.parameters()]


def deep():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [m for _ in range(6) for m in (nn.Linear(8, 8), nn.Tanh())]
        return nn.Sequential(nn.Linear(4, 8), *layers, nn.Linear(8, 3)).double()


def test_errors_have_one_size_and_directions_stay():
    model, (_, batch) = deep(), world()
    sizes = []

    def seen(module, given, out):
        out.register_hook(lambda error: sizes.append(error.square().mean()))

    def objective(run, rows):
        handles = [m.register_forward_hook(seen) for m in model if isinstance(m, nn.Linear)]
        losses = Supervised()(run, rows)
        for handle in handles:
            handle.remove()
        return losses

    _, grads = after(Modulated(), objective, model, batch)
    found = torch.stack(sizes)
    assert float(found.max() / found.min()) < 1 + 1e-9
    twin = deep()
    _, plain = after(Backprop(), Supervised(), twin, batch)
    true = [F.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in
            zip(grads, plain, strict=True)]  # fmt: skip
    assert all(abs(float(c) - 1) < 1e-9 for c in true)
    assert torch.equal(grads[-1], plain[-1])
    twin = deep()
    _, late = after(Modulated(until=0.5), Supervised(), twin, batch, progress=0.5)
    assert all(torch.equal(a, b) for a, b in zip(late, plain, strict=True))
    assert not model[0]._forward_hooks


def test_an_attack_inside_sees_true_slopes():
    _, batch = world()
    objective = AdversarialTraining(attack=PGD(steps=3, climb="soft"), threat=LInf(radius=0.1))
    one, _ = after(Modulated(), objective, deep(), batch)
    two, _ = after(Backprop(), objective, deep(), batch)
    assert torch.equal(one, two)


def test_meta_gradient_is_that_of_a_naive_loop():
    model, batch = world()
    batch = batch._replace(group=torch.tensor([0, 0, 1, 1, 1, 2]))
    naive = [torch.zeros_like(p) for p in model.parameters()]
    for task in range(3):
        own, rows = deepcopy(model), batch.take(batch.group == task)
        support = rows.take(slice(0, None, 2))
        query = rows.take(slice(1, None, 2)) if len(rows.index) > 1 else rows
        for _ in range(2):
            loss = F.cross_entropy(own(support.x), support.y)
            grads = torch.autograd.grad(loss, list(own.parameters()))
            with torch.no_grad():
                for p, g in zip(own.parameters(), grads, strict=True):
                    p -= 0.1 * g
        loss = F.cross_entropy(own(query.x), query.y)
        grads = torch.autograd.grad(loss, list(own.parameters()))
        for total, g in zip(naive, grads, strict=True):
            total += g * len(rows.index) / 6
    before = [p.detach().clone() for p in model.parameters()]
    losses, found = after(FirstOrderMAML(steps=2, rate=0.1), Supervised(), model, batch)
    assert all(torch.allclose(a, b) for a, b in zip(found, naive, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert losses.shape == (6,)
