"""Updates by importance: chances, draws and what is never masked."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.claims.roast import Classifier
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.hooks.selective import Selective, inner
from holdfast.objectives.roast import EmbeddingConsistency
from holdfast.run.training import TrainingRun
from holdfast.threats.embedding import Embedding


def test_chances_are_the_formula():
    importance = torch.tensor([3.0, 1.0, 2.0, 7.0])
    u = torch.tensor([2, 0, 1, 3]) / 3
    true = 1 / (1 + torch.exp(-2 * 5 * (u - 0.6)))
    found = Selective(alpha=0.6, beta=5.0).chances(importance)
    assert torch.allclose(found, true.double(), atol=1e-6)


def test_masked_gradients_are_right_in_the_mean():
    importance = torch.rand(50, generator=torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(1)
    fair = Selective(alpha=0.5, beta=2.0)
    masks = torch.stack([fair.mask(importance, g) for _ in range(4000)])
    p = fair.chances(importance)
    error = ((1 - p) / p / 4000).sqrt()
    assert ((masks.mean(0) - 1).abs() < 4 * error).all()
    kept = torch.stack([(fair.mask(importance, g) > 0).double() for _ in range(2000)]).mean()
    assert abs(float(kept - p.mean())) < 0.01
    every = Selective(alpha=0.0, beta=1e4).mask(importance, g)
    assert int((every == 0).sum()) <= 1


def _run(model: nn.Module) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(4), 1)


def test_masked_weights_get_no_gradient_and_the_ends_are_free():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier()
    names = set(inner(model))
    assert not any(n.startswith(("embedding", "head")) for n in names) and names
    run, hook = _run(model), Selective(alpha=0.5, beta=5.0, unbiased=False)
    run.own([hook])
    for _ in range(2):
        for p in model.parameters():
            p.grad = torch.ones_like(p) * torch.rand(p.shape)
        hook.gradients(run)
        hook.epoch(run)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    hook.gradients(run)
    shares = [float((w.grad == 0).double().mean()) for w in inner(model).values()]
    assert 0.2 < sum(shares) / len(shares) < 0.8
    assert (model.embedding.weight.grad == 1).all() and (model.head.weight.grad == 1).all()


def test_consistency_is_its_formula():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier()
    x, y = (
        torch.randint(40, (4, 8), generator=torch.Generator().manual_seed(3)),
        torch.arange(4) % 2,
    )
    threat = Embedding(radius=0.1, norm="linf", relative=False).of(model)
    loss = EmbeddingConsistency(weight=0.3)
    run = _run(model)
    change = loss.moved(run, x, threat)
    assert change.abs().max() <= 1 + 1e-6 and (change.abs() > 0.99).double().mean() > 0.9
    p, q = model(x).softmax(1), threat.through(model, x, change).softmax(1)
    both = (p * (p / q).log() + q * (q / p).log()).sum(1)
    task = (F.nll_loss(p.log(), y, reduction="none") + F.nll_loss(q.log(), y, reduction="none")) / 2
    assert torch.allclose(loss(run, Batch(x, y, torch.arange(4))), task + 0.3 * both, atol=1e-5)
    still = EmbeddingConsistency(threat=threat.scaled(0.0))(run, Batch(x, y, torch.arange(4)))
    assert torch.allclose(still, F.cross_entropy(model(x), y, reduction="none"), atol=1e-6)
