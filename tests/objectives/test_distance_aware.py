"""Distance-aware training against the double sum, by hand, and against its base."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.distance_aware import DistanceAware, class_weights
from holdfast.objectives.trades import Trades
from holdfast.run.loop import Training
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.affine import Rotation
from holdfast.threats.norms import L1, L2, LInf
from holdfast.threats.rowwise import Rowwise, by_class

ATTACK = PGD(steps=3, climb="soft")


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3)).double()


def data(n: int = 24) -> Batches:
    x = torch.rand(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batches(x=x, y=x[:, :3].argmax(1), size=8)


def naive(p: torch.Tensor, strength: float) -> torch.Tensor:
    weights = torch.ones(len(p), dtype=torch.float64)
    for i in range(len(p)):
        for j in range(len(p)):
            if i != j and p[i, i] < p[j, j]:
                weights[i] += strength * p[i, j] * p[j, j]
            elif i != j:
                weights[i] -= strength * p[j, i] * p[i, i]
    return weights


def test_weights_are_the_double_sum_and_add_up() -> None:
    g = torch.Generator().manual_seed(2)
    for _ in range(20):
        p = (2 * torch.randn(6, 6, generator=g, dtype=torch.float64)).softmax(1)
        expected = naive(p, 0.3)
        assert torch.allclose(class_weights(p, 0.3), expected, atol=1e-12)
        assert abs(float(class_weights(p, 0.3).sum()) - 6) < 1e-9
    assert torch.equal(class_weights(torch.eye(4).double(), 1.0), torch.ones(4).double())
    p = torch.tensor([[0.6, 0.4], [0.1, 0.9]]).double()
    by_hand = torch.tensor([1 + 0.4 * 0.9, 1 - 0.4 * 0.9]).double()
    assert torch.allclose(class_weights(p, 1.0), by_hand, atol=1e-12)


@pytest.mark.parametrize("threat", [LInf(radius=0.2), L2(radius=0.3), L1(radius=0.5)])
def test_rows_have_radii_of_their_own(threat) -> None:
    rows = data().whole
    factors = torch.tensor([0.0, 0.5, 1.0, 1.5]).repeat(6)
    own, dice = Rowwise(threat, factors), Dice.of(24)
    for change in (own.sample(rows.x, dice), own.project(rows.x, 3 * torch.randn_like(rows.x))):
        sizes = threat.size(rows.x, change)
        assert (sizes <= factors + 1e-6).all() and (sizes[factors == 1.5] > 0).all()
        assert (own.size(rows.x, change) <= 1 + 1e-6).all()
    for i in (1, 2, 3):  # each row as the scaled threat alone would have it
        single, one = threat.scaled(float(factors[i])), slice(i, i + 1)
        raw = torch.randn(24, 5, generator=torch.Generator().manual_seed(i)).double()
        mine = own.project(rows.x, raw)[one]
        assert torch.allclose(mine, single.project(rows.x[one], raw[one]), atol=1e-12)
        mine = own.steepest(rows.x, own.none(rows.x), raw)[one]
        alone = single.steepest(rows.x[one], own.none(rows.x)[one], raw[one])
        assert torch.allclose(mine, alone, atol=1e-12)
    found = search(PGD(steps=5), net(), rows.x, Untargeted(rows.y), own)
    assert (threat.size(rows.x, found.change) <= factors + 1e-6).all()
    with pytest.raises(Unsupported, match="radius per row"):
        Rowwise(Rotation(), factors)
    with pytest.raises(ShapeError, match="factors"):
        Rowwise(threat, -factors)


@pytest.mark.parametrize("base", [AdversarialTraining(attack=ATTACK), Trades(attack=ATTACK)])
def test_warm_up_is_the_base_and_then_radius_and_label_term_are_weighted(base) -> None:
    rows, model, threat = data().whole, net(), LInf(radius=0.1)
    ours = DistanceAware(base=base, threat=threat, warmup=0.5)
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(24), 2)
    aimed = replace(base, threat=threat)
    assert torch.equal(ours(run, rows), aimed(run, rows))
    memory = run.memory(ours)
    sums = memory["sums"]
    assert sums[:, -1].tolist() == torch.bincount(rows.y, minlength=3).tolist()
    assert torch.allclose(sums[:, :-1].sum(1), sums[:, -1])
    run.advance()
    assert torch.equal(ours(run, rows), aimed(run, rows))  # the epoch is not over
    run.epoch += 1
    losses = ours(run, rows)
    weights = memory["weights"]
    p = memory["sums"][:, :-1] / memory["sums"][:, -1:]
    assert torch.allclose(weights, naive(p, 1.0), atol=1e-12) and (weights != 1).all()
    own = weights[rows.y]
    parts = []
    for scaled in (1.0, 0.0):  # the base row by row at its own radius, with and without label term
        loss = lambda z, y, s=scaled: s * F.cross_entropy(z, y, reduction="none")  # noqa: E731
        each = [
            replace(base, threat=threat.scaled(float(own[i])), loss=loss)(
                TrainingRun(model, nn.ModuleDict(), Dice(0, torch.tensor([i])), 1),
                rows.take(slice(i, i + 1)),
            )
            for i in range(24)
        ]
        parts.append(torch.cat(each))
    assert torch.allclose(losses, own * (parts[0] - parts[1]) + parts[1], atol=1e-9)


def test_runs_and_refuses() -> None:
    model = net()
    plan = Training(objective=DistanceAware(base=AdversarialTraining(attack=ATTACK)), epochs=4)
    run = plan(model, data())
    assert "weights" in run.memory(run._owners[1])
    with pytest.raises(Unsupported, match="weighted"):
        DistanceAware(base="objective:supervised")(run, data().whole)
    soft = Batch(data().x, F.one_hot(data().y, 3).double(), torch.arange(24))
    assert torch.allclose(by_class(torch.arange(3.0), soft.y), data().y.double())
