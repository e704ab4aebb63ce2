"""Tracing by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.defend.traced import Tracer as PrivateNet
from holdfast.defend.traced import restless, trace, traced
from holdfast.objectives.tracer import Tracer
from holdfast.testing.laws.objective import losses_of
from holdfast.testing.worlds import three_class

WORLD = three_class(rows=6)
G = torch.Generator().manual_seed(0)


def private(seed: int) -> nn.Module:
    return PrivateNet(8, 3, seed=seed).double()


def test_a_copy_adds_its_tracer():
    copy = traced(WORLD.model, tracer=private(1), weight=2.0)
    assert torch.allclose(copy(WORLD.x), WORLD.model(WORLD.x) + 2 * private(1)(WORLD.x))
    made = traced(WORLD.model, seed=5)(WORLD.x)
    assert torch.allclose(made, WORLD.model(WORLD.x) + private(5)(WORLD.x))
    with pytest.raises(ConfigError):
        traced(WORLD.model, weight=-1.0)


def test_the_copy_whose_tracer_was_pushed_is_found():
    copies = [traced(WORLD.model, tracer=private(k)) for k in range(4)]
    answer = (WORLD.y + 1) % 3
    for source in range(4):
        x = WORLD.x.clone().requires_grad_()
        z = copies[source].tracer(x)
        gap = z.gather(1, answer[:, None]) - z.gather(1, WORLD.y[:, None])
        (g,) = torch.autograd.grad(gap.sum(), x)
        moved = (WORLD.x + 0.2 * g.sign()).clamp(0, 1)
        for known in (WORLD.y, None):
            found = trace(copies, moved, answer, known, trusted=WORLD.x)
            assert found.index == source and found.scores.shape == (4, 6)


def test_scores_are_differences_of_logits_in_standard_deviations():
    copy, other = traced(WORLD.model, tracer=private(0)), WORLD.x.flip(0) * 0.9
    answer = (WORLD.y + 1) % 3
    z, plain = private(0)(WORLD.x).detach(), private(0)(other).detach()
    i = torch.arange(6)
    raw = z[i, answer] - z[i, WORLD.y]
    assert torch.allclose(trace([copy], WORLD.x, answer, WORLD.y).scores[0], raw)
    usual = plain[:, answer] - plain[:, WORLD.y]
    scaled = (raw - usual.mean(0)) / usual.std(0)
    found = trace([copy], WORLD.x, answer, WORLD.y, trusted=other).scores[0]
    assert torch.allclose(found, scaled)
    with pytest.raises(ShapeError):
        trace([traced(WORLD.model)], WORLD.x, answer)


def test_the_loss_is_its_three_terms():
    net = private(3)
    batch = Batch(WORLD.x, WORLD.y, torch.arange(6))
    quiet = Tracer(base=WORLD.model, weight=0.5, restless=0.0, silent=0.0)
    z = net(WORLD.x)
    task = F.cross_entropy(WORLD.model(WORLD.x) + 0.5 * z, WORLD.y, reduction="none")
    assert torch.allclose(losses_of(quiet, net, batch), task)
    loud = Tracer(base=WORLD.model, weight=0.5, restless=0.0, silent=0.3)
    assert torch.allclose(losses_of(loud, net, batch), task + 0.3 * z.square().sum(1))
    noise = 0.1 * torch.randn(4, 6, 8, generator=G, dtype=torch.float64)
    _, alike = restless(net, WORLD.x, noise)
    each = [F.cosine_similarity(z, net((WORLD.x + n).clamp(0, 1)), dim=1) for n in noise]
    assert torch.allclose(alike, torch.stack(each).mean(0))
    still = Tracer(base=WORLD.model, weight=0.5, restless=1.0, silent=0.0, noise=1e-9)
    assert torch.allclose(losses_of(still, net, batch), task + 1, atol=1e-6)
    losses_of(quiet, net, batch).sum().backward()
    assert WORLD.model.weight.grad is None
