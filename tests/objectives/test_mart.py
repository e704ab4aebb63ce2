"""MART against hand-computed numbers and the formula as the paper writes it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.losses.boosted import boosted_cross_entropy
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.mart import MART
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3)).double()


def batch() -> Batch:
    x = torch.rand(12, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, x[:, :3].argmax(1), torch.arange(12))


def run_of(model: nn.Module) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(12), 1)


def naive(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    p = z.softmax(1)
    others = p.scatter(1, y[:, None], 0.0).amax(1)
    return -p.gather(1, y[:, None]).squeeze(1).log() - (1 - others).log()


def test_by_hand_two_classes_and_formula() -> None:
    p = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]).double()
    by_hand = torch.tensor([0.5 * 0.7, 0.3 * 0.5]).double().log().neg()
    assert torch.allclose(boosted_cross_entropy(p.log(), torch.tensor([0, 1])), by_hand, atol=1e-12)
    two = torch.randn(6, 2, generator=torch.Generator().manual_seed(2)).double()
    y = torch.arange(6) % 2
    twice = 2 * F.cross_entropy(two, y, reduction="none")
    assert torch.allclose(boosted_cross_entropy(two, y), twice, atol=1e-12)
    z = torch.randn(40, 7, generator=torch.Generator().manual_seed(3)).double()
    y = torch.arange(40) % 7
    assert torch.allclose(boosted_cross_entropy(z, y), naive(z, y), atol=1e-12)
    hard = F.one_hot(y, 7).double()
    assert torch.allclose(boosted_cross_entropy(z, hard), naive(z, y), atol=1e-12)


@pytest.mark.parametrize("soft", [False, True])
def test_is_its_naive_twin_with_gradients(soft: bool) -> None:
    rows, attack, threat = batch(), PGD(steps=3, climb="soft"), LInf(radius=0.1)
    given = rows._replace(y=F.one_hot(rows.y, 3).double()) if soft else rows
    ours, twin = net(), net()
    losses = MART(attack=attack, threat=threat)(run_of(ours), given)
    change = AdversarialTraining(attack=attack, threat=threat)  # the same attack, the same dice
    seen: list[torch.Tensor] = []
    handle = twin.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0].detach()))
    change(run_of(twin), rows)
    handle.remove()
    p, q = twin(rows.x).softmax(1), twin(seen[-1]).softmax(1)
    label = p.gather(1, rows.y[:, None]).squeeze(1)
    kl = (p * (p / q).log()).sum(1)
    expected = naive(twin(seen[-1]), rows.y) + 5 * kl * (1 - label)
    assert torch.allclose(losses, expected, atol=1e-10)
    pairs = [
        torch.autograd.grad(v.mean(), list(m.parameters()), retain_graph=True)
        for v, m in ((losses, ours), (expected, twin))
    ]
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(*pairs, strict=True))
    held = naive(twin(seen[-1]), rows.y) + 5 * kl * (1 - label.detach())
    other = torch.autograd.grad(held.mean(), list(twin.parameters()))
    assert not all(torch.allclose(a, b, atol=1e-6) for a, b in zip(pairs[0], other, strict=True))


def test_rows_that_are_sure_pay_no_departure_and_without_weight_it_is_adversarial_training() -> (
    None
):
    rows, model = batch(), net()
    with torch.no_grad():
        model[2].weight.mul_(1e4)
    sure = model(rows.x).argmax(1)
    rows = rows._replace(y=sure)
    zero, some = (MART(weight=w, threat=LInf(radius=1e-4)) for w in (0.0, 5.0))
    assert torch.allclose(zero(run_of(model), rows), some(run_of(model), rows), atol=1e-9)
    plain = MART(weight=0.0, loss="loss:cross-entropy")(run_of(net()), batch())
    assert torch.equal(plain, AdversarialTraining()(run_of(net()), batch()))
