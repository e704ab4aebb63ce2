"""Filters whose sparsity, entropy, orthogonality and distances are known."""

from __future__ import annotations

from math import log10

import pytest
import torch
from torch import nn

from holdfast.core.errors import Unsupported
from holdfast.measures.model.filter_basis import filter_shift, spike_score
from holdfast.measures.model.filter_shift import attributed, filter_shifts, outlying
from holdfast.measures.model.filters import (
    filters,
    flat,
    orthogonality,
    randomness_threshold,
    sparse,
    variance_entropy,
)

G = torch.Generator().manual_seed(0)


def conv(w: torch.Tensor) -> nn.Conv2d:
    made = nn.Conv2d(w.shape[1], w.shape[0], 3, bias=False)
    made.weight = nn.Parameter(w.float())
    return made


def test_random_filters_reach_the_threshold():
    rows = torch.randn(4096, 9, generator=G, dtype=torch.float64)
    entropy = variance_entropy(rows)
    assert entropy > 0.94 and 0.97 < entropy / randomness_threshold(4096) < 1.03


def test_entropy_counts_directions():
    pattern = torch.randn(2, 9, generator=G, dtype=torch.float64)
    pattern = torch.linalg.qr(pattern.T).Q.T
    strength = torch.randn(300, 1, generator=G, dtype=torch.float64)
    assert variance_entropy(strength * pattern[:1]) == pytest.approx(0, abs=1e-9)
    both = torch.cat([strength * pattern[:1], strength * pattern[1:]])
    centred = strength - strength.mean()
    both = torch.cat([centred * pattern[:1], centred * pattern[1:]])
    assert variance_entropy(both) == pytest.approx(log10(2), abs=1e-9)
    assert variance_entropy(torch.zeros(5, 9)) == 0


def test_sparse_filters_are_counted():
    w = torch.randn(20, 5, 3, 3, generator=G)
    w.view(-1, 9)[:30] = 0
    assert float(sparse(w).double().mean()) == 0.3
    w.view(-1, 9)[:30] = 0.009 * w.abs().max()
    assert float(sparse(w).double().mean()) == 0.3
    assert len(flat(w)) == 100


def test_orthogonal_rows():
    rows = torch.linalg.qr(torch.randn(18, 18, generator=G)).Q[:6].reshape(6, 2, 3, 3)
    assert orthogonality(3 * rows) == pytest.approx(1, abs=1e-6)
    assert orthogonality(rows[:1].expand(4, 2, 3, 3)) == pytest.approx(0, abs=1e-6)


def test_flags_of_a_model():
    one = torch.randn(1, 1, 3, 3, generator=G) * torch.randn(8, 1, 1, 1, generator=G)
    model = nn.Sequential(conv(torch.randn(64, 32, 3, 3, generator=G)), nn.ReLU(), conv(one))
    found = filters(model)
    assert [v.count for v in found.layers] == [2048, 8]
    assert "repetitive" in found.layers[1].flags and "repetitive" not in found.layers[0].flags
    with pytest.raises(Unsupported):
        filters(nn.Sequential(nn.Conv2d(1, 1, 5)))


def test_shift_is_a_symmetric_divergence_that_grows():
    a = torch.randn(3000, 9, generator=G, dtype=torch.float64)
    b = torch.randn(3000, 9, generator=G, dtype=torch.float64) * torch.linspace(0.2, 2, 9)
    assert filter_shift(a, a) == 0
    assert filter_shift(a, b) == pytest.approx(filter_shift(b, a))
    mixed = [torch.cat([a[: 3000 - k], b[:k]]) for k in (500, 1500, 3000)]
    values = [filter_shift(a, m) for m in mixed]
    assert values[0] < values[1] < values[2]
    nets = [nn.Sequential(conv(torch.randn(8, 4, 3, 3, generator=G))) for _ in range(3)]
    table = filter_shifts(nets).distances
    assert torch.equal(table, table.T) and float(table.diagonal().abs().max()) == 0


def test_spikes_and_outliers():
    assert spike_score(torch.zeros(50)) == pytest.approx(70 / 3)
    assert spike_score(torch.linspace(-1, 0.999, 7000)) == pytest.approx(1, abs=0.02)
    values = torch.cat([torch.rand(20, generator=G), torch.tensor([9.0])])
    assert outlying(values).nonzero().flatten().tolist() == [20]


def test_a_planted_cause_is_found_and_noise_is_not():
    domain, kind = ["a", "a", "b", "b"] * 3, ["x", "y", "x", "y"] * 3
    noise = torch.rand(12, 12, generator=G, dtype=torch.float64)
    noise = noise + noise.T
    other = torch.tensor([[float(p != q) for q in kind] for p in kind])
    found = attributed(noise + 5 * other, domain, kind)
    assert found.second > found.first + 4 and found.chance < 0.05
    rejected = 0
    for k in range(20):
        n = torch.rand(12, 12, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
        rejected += attributed(n + n.T, domain, kind, draws=60, seed=k).chance < 0.05
    assert rejected <= 4
