"""Active units against counting, and layers that keep only the largest."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.compress.top_k import TopKActivations
from holdfast.core.data import Batches
from holdfast.layers.top_k import TopK
from holdfast.measures.model.activation_sparsity import activation_sparsity


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU())


def test_shares_are_counts():
    model, x = net(), torch.randn(11, 3, 5, generator=torch.Generator().manual_seed(1))
    data = Batches(x=x, y=torch.zeros(11, dtype=torch.int64), size=4)
    found = activation_sparsity(model, data)
    h = torch.relu(x @ model[0].weight.T + model[0].bias)
    for i in range(11):
        share = sum(int(v > 0) for t in h[i].tolist() for v in t) / (3 * 40)
        assert abs(float(found.active["1"][i]) - share) < 1e-9
    assert torch.allclose(found.usage["1"], (h > 0).double().mean((0, 1)))
    assert [r.name for r in found.readings()] == ["active", "active.1", "active.3"]
    assert abs(found.saved("1") - 1 + float(found.active["1"].mean())) < 1e-12
    high = activation_sparsity(model, data, layers=("1",), threshold=0.5)
    assert torch.allclose(high.usage["1"], (h > 0.5).double().mean((0, 1)))


def test_only_the_largest_pass_and_only_they_have_a_gradient():
    h = torch.randn(6, 4, 20, generator=torch.Generator().manual_seed(2)).requires_grad_()
    out = TopK(3)(h)
    assert ((out != 0).sum(-1) == 3).all()
    for row, kept in zip(h.flatten(0, 1).tolist(), out.flatten(0, 1).tolist(), strict=True):
        assert sorted(row)[-3:] == sorted(v for v in kept if v != 0)
    out.sum().backward()
    assert torch.equal(h.grad != 0, out != 0)
    assert torch.equal(TopK(20)(h), h)
    ties = TopK(2)(torch.ones(1, 5))
    assert int((ties != 0).sum()) == 2
    maps = TopK(1)(torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(3)))
    assert ((maps != 0).sum(1) == 1).all()


def test_rewritten_models_keep_their_outputs_where_k_is_the_width():
    model, x = net(), torch.randn(7, 5, generator=torch.Generator().manual_seed(4))
    assert torch.equal(TopKActivations(k=40)(model)(x), model(x))
    new = TopKActivations(k=4)(model)
    data = Batches(x=x, y=torch.zeros(7, dtype=torch.int64))
    found = activation_sparsity(new, data, layers=("1",))
    assert float(found.active["1"].max()) <= 4 / 40 + 1e-12
