"""Few labels: the weight of a row by hand, losses against the formula."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.objectives.awr import AdaptivelyWeighted, regularity
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

OBJECTIVE = replace(
    AdaptivelyWeighted.example(None), threat=LInf(radius=0.1), attack=PGD(steps=1), teach=0.7
)


def batch() -> Batch:
    x = torch.rand(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, torch.tensor([0, -100, 2, -100, -100, 1]), torch.arange(6))


def run_of(model) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(6), 1)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def test_weight_of_a_row_by_hand():
    q = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    p = torch.tensor([[0.6, 0.2, 0.2], [1.0, 0.0, 0.0]])
    m = torch.tensor([[0.1, 0.8, 0.1], [1.0, 0.0, 0.0]])
    w = regularity(q, p, m, 0.25)
    assert float(w[0]) == pytest.approx(0.25 * 0.40 + 0.75 * (1 - 0.31))
    assert float(w[1]) == 0.25  # sure, right and robust: beta is left


def test_weights_are_shares():
    g = torch.Generator().manual_seed(0)
    q, p, m = (3 * torch.randn(3, 200, 5, generator=g)).softmax(-1)
    for beta in (0.0, 0.3, 1.0):
        w = regularity(q, p, m, beta)
        assert bool((w >= 0).all()) and bool((w <= 1).all())


def test_losses_are_those_of_the_formula():
    model, b = net(), batch()
    losses = OBJECTIVE(run_of(model), b)
    z, t = model(b.x), OBJECTIVE.teacher(b.x).detach()
    hard = F.cross_entropy(z, b.y.clamp(min=0), reduction="none", label_smoothing=0.2)
    p, q = z.softmax(1), t.softmax(1)
    taught = (q * (q.log() - p.log())).sum(1)
    fixed = z.log_softmax(1).detach()
    attack = replace(OBJECTIVE, weight=1.0, teach=0.0, beta=1.0)
    away = attack(run_of(model), b) / (q * p).sum(1)  # the departure alone: beta = 1
    assert torch.allclose(losses[b.y >= 0], hard[b.y >= 0])
    for beta in (0.0, 0.5):
        whole = replace(OBJECTIVE, beta=beta)(run_of(model), b)
        rest = (whole - 0.7 * taught - 3 * beta * (q * p).sum(1) * away) / (3 * away)
        unknown = b.y < 0
        # what is left is (1 - beta) (1 - <q, p'>) with a distribution p'
        assert bool((rest[unknown] >= -1e-9).all()) and bool(
            (rest[unknown] <= 1 - beta + 1e-9).all()
        )
        assert (beta == 1.0) or bool((rest[unknown] > 0).any())
    assert bool((away[b.y < 0] > 0).all()) and not fixed.requires_grad


def test_without_weights_only_labels_count():
    model, b = net(), batch()
    losses = replace(OBJECTIVE, weight=0.0, teach=0.0)(run_of(model), b)
    assert float(losses[b.y < 0].detach().abs().sum()) == 0


def test_what_cannot_be_done():
    with pytest.raises(ConfigError, match="teacher"):
        AdaptivelyWeighted()(run_of(net()), batch())
    with pytest.raises(Unsupported, match="label"):
        OBJECTIVE(run_of(net()), batch()._replace(y=torch.ones(6, 3)))
