"""Mutual training: one member is adversarial training, peers teach without gradient."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.mutual import MutualTraining, born_again
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import L2, LInf

STILL = PGD(steps=2, start="none", climb="soft")
MUTUAL = MutualTraining(threat=LInf(radius=0.1), attack=STILL)
ALONE = AdversarialTraining(threat=LInf(radius=0.1), attack=STILL)


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def batch() -> Batch:
    x = torch.rand(7, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, torch.arange(7) % 3, torch.arange(7))


def run_of(model, objective) -> TrainingRun:
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(7), 1)
    peers = objective.parts(model)
    if peers is not None:
        run.parts["objective"] = peers
    return run


def alone(model) -> torch.Tensor:
    return ALONE(TrainingRun(model, nn.ModuleDict(), Dice.of(7), 1), batch())


def test_one_member_is_adversarial_training():
    model, objective = net(), replace(MUTUAL, members=1)
    assert torch.equal(objective(run_of(model, objective), batch()), alone(model))


def test_without_weights_each_is_trained_alone():
    model, objective = net(), replace(MUTUAL, answers=0.0, transfer=0.0, members=3)
    run = run_of(model, objective)
    nets = [model, *run.parts["objective"]]
    assert len({float(n[0].weight[0, 0].detach()) for n in nets}) == 3
    assert torch.allclose(objective(run, batch()), sum(alone(n) for n in nets))


def moved(model, b):
    """The attacked rows, from the loss that training on them alone has."""
    from holdfast.objectives.adversary import LargestLoss, goal_of, worst

    threat = LInf(radius=0.1)
    return b.x + worst(STILL, model, b.x, LargestLoss(goal_of(b.y)), threat, Dice.of(7), "eval")


def test_losses_and_gradients_are_those_of_the_formula():
    model, b = net(), batch()
    objective = replace(MUTUAL, answers=0.5, transfer=2.0, own=0.3)
    run = run_of(model, objective)
    peer = run.parts["objective"][0]
    x = [moved(model, b), moved(peer, b)]

    def ce(f, v):
        return F.cross_entropy(f(v), b.y, reduction="none")

    def kl(teacher, student, v):
        p = teacher(v).detach().softmax(1)
        return (p * (p.log() - student(v).log_softmax(1))).sum(1)

    def of(f, g, mine, theirs):
        taught = 2 * ce(f, theirs) + 0.5 * kl(g, f, theirs) + 0.3 * kl(g, f, mine)
        return ce(f, mine) + taught

    first, second = of(model, peer, *x), of(peer, model, *x[::-1])
    losses = objective(run, b)
    assert torch.allclose(losses, first + second, atol=1e-10)
    for f, loss in ((model, first), (peer, second)):
        weights = list(f.parameters())
        ours = torch.autograd.grad(losses.mean(), weights, retain_graph=True)
        theirs = torch.autograd.grad(loss.mean(), weights, retain_graph=True)
        assert all(torch.allclose(a, c, atol=1e-10) for a, c in zip(ours, theirs, strict=True))


def test_identical_members_have_nothing_to_tell():
    model, objective = net(), replace(MUTUAL, transfer=0.0)
    run = run_of(model, objective)
    run.parts["objective"][0].load_state_dict(model.state_dict())
    assert torch.allclose(objective(run, batch()), 2 * alone(model))


def test_a_generalist_learns_only_from_specialists():
    model = net()
    objective = replace(MUTUAL, specialists=(LInf(radius=0.1), L2(radius=0.3)))
    run = run_of(model, objective)
    assert len(run.parts["objective"]) == 2
    loss = replace(objective, answers=0.0, transfer=0.0)(run, batch()).mean()
    grads = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    assert all(g is None or not bool(g.any()) for g in grads)
    assert bool(torch.autograd.grad(objective(run, batch()).mean(), model[0].weight)[0].any())


def test_peers_are_trained_beside_the_model():
    data = Batches(x=batch().x, y=batch().y, size=4)
    run = Training(objective=MUTUAL, epochs=2)(net(), data)
    before, after = MUTUAL.parts(net())[0], run.parts["objective"][0]
    assert not torch.equal(before[0].weight, after[0].weight)
    assert torch.equal(born_again(net(), 1)[0].weight, before[0].weight)


def test_a_model_that_cannot_be_drawn_anew():
    with pytest.raises(Unsupported, match="anew"):
        born_again(nn.ReLU(), 0)
