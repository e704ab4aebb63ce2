"""Adaptive sharpness-aware steps against SAM, their radii, and pruning of whole neurons."""

import torch
from torch import nn

from holdfast.compress.neurons import NeuronPruning
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.hooks.pruning import PruneNeurons
from holdfast.optim.adasap import AdaptiveSAM
from holdfast.optim.sam import SAM
from holdfast.run.loop import Training

BASE = Later("torch:SGD", lr=0.1, momentum=0.9)


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 8),
                             nn.ReLU(), nn.Linear(8, 3)).double()  # fmt: skip


X = torch.rand(12, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = torch.arange(12) % 3


def test_equal_radii_are_sam() -> None:
    nets = [nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    ours = AdaptiveSAM(nets[0].parameters(), base=BASE, radius=0.3, least=0.3)
    for model, optimizer in zip(nets, (ours, SAM(nets[1].parameters(), base=BASE, radius=0.3)),
                                strict=True):  # fmt: skip
        for _ in range(5):

            def closure(model: nn.Module = model, optimizer: SAM = optimizer) -> float:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(X), Y)
                loss.backward()
                return loss

            optimizer.step(closure)
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_the_weakest_neuron_moves_furthest_and_removed_ones_not_at_all() -> None:
    w = nn.Parameter(torch.tensor([[3.0, 4.0], [0.6, 0.8], [0.0, 0.0], [2.0, 0.0]]))
    optimizer = AdaptiveSAM([w], radius=2.0, least=0.01)
    own = optimizer.radii(w).flatten()
    assert torch.allclose(own, torch.tensor([0.01, 2.0, 0.0, 2.0 - 1.99 * 0.25]))
    optimizer.uniform = True
    assert torch.equal(optimizer.radii(w).flatten(), torch.tensor([2.0, 2.0, 0.0, 2.0]))


def test_weights_come_back_and_the_move_is_the_gradient_times_radii() -> None:
    w = nn.Parameter(torch.tensor([[1.0, 2.0], [0.5, 0.0]], dtype=torch.float64))
    optimizer = AdaptiveSAM([w], base=Later("torch:SGD", lr=0.0), radius=0.5, least=0.1)
    before, seen = w.detach().clone(), []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = 0.5 * w.square().sum()
        loss.backward()
        seen.append(w.detach().clone())
        return loss

    optimizer.step(closure)
    own = torch.tensor([[0.1], [0.5]])
    assert torch.allclose(seen[1], before + own * before / before.norm())
    assert torch.equal(w, before)


def test_silent_neurons_can_be_cut_out() -> None:
    model = net()
    model.train()(X)
    model.eval()
    small = NeuronPruning(share=0.5)(model)
    lengths = model[0].weight.norm(dim=1)
    kept = lengths.argsort()[5:].sort().values
    assert torch.equal(small[0].weight.ne(0).any(1).nonzero().flatten(), kept)
    gone = lengths.argsort()[:5]
    inner = small[2](small[1](small[0](X)))
    assert (inner[:, gone] == 0).all() and (inner[:, kept] != 0).any()
    assert torch.equal(small[5].weight, model[5].weight)


def test_pruning_in_mid_run_reaches_its_share_and_keeps_it() -> None:
    model = net()
    plan = Training(
        epochs=6, optimizer=Later("optimizer:adasap", base=BASE),
        hooks=(PruneNeurons(removed=0.5, begin=0.2, finish=0.6),),
    )  # fmt: skip
    run = plan(model, Batches(x=X, y=Y, size=4))
    for layer, count in ((model[0], 5), (model[3], 4)):
        assert int((layer.weight == 0).all(1).sum()) == count
        assert int((layer.bias == 0).sum()) == count
    assert run.optimizer.uniform
