"""The rough look at a split says what bounding its halves one by one would say."""

from __future__ import annotations

import pytest
import torch
from tests.certify.test_signs import rooted

from holdfast.certify.search import sketch
from holdfast.certify.search.branching import LOSS, candidates, divided, halves_of, lost
from holdfast.certify.search.sketch import sketched


def one_by_one(signed, parts, index):
    """`(2, N, C)`: every half bounded in float64, with outward rounding, by itself."""
    found = torch.empty(2, *index.shape)
    for n in range(len(parts)):
        worst = parts.bound[n].argmin()
        for c in range(index.shape[1]):
            halves = halves_of(signed, parts.take(slice(n, n + 1)), index[n, c : c + 1])
            halves.bound[:, [j for j in range(halves.bound.shape[1]) if j != worst]] = 1.0
            seen = signed.once(halves)
            halves.bound[:, [j for j in range(halves.bound.shape[1]) if j != worst]] = torch.inf
            left = torch.stack([v.clamp(min=0).sum(1) for v in lost(signed, halves, seen)]).sum(0)
            found[:, n, c] = halves.bound[:, worst].clamp(max=0) - LOSS[False] * left
    return found


@pytest.mark.parametrize("numbers", [sketch.NUMBERS, 1])
@torch.no_grad()
def test_it_agrees_with_bounds_of_every_half(numbers, monkeypatch):
    monkeypatch.setattr(sketch, "NUMBERS", numbers)  # 1: part by part
    for seed in range(2):
        search, parts = rooted(seed)
        signed = search.signed
        signed.renew = False
        for _ in range(2):  # then with signs that are known, and multipliers
            index = candidates(lost(signed, parts, signed.once(parts)))
            want = one_by_one(signed, parts, index)
            found = sketched(signed, parts, index, 1, LOSS[False])
            torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)
            assert float(want.std()) > 0.003  # the candidates differ
            parts, _ = divided(signed, parts)
            signed.improve(parts, 5)


@torch.no_grad()
def test_the_neuron_that_is_split_is_the_best_of_the_candidates():
    search, parts = rooted(1)
    signed = search.signed
    signed.renew = False
    index = candidates(lost(signed, parts, signed.once(parts)))
    value = one_by_one(signed, parts, index)
    best = index[0, (value.amin(0) + 0.5 * value.amax(0))[0].argmax()]
    _, chosen = divided(signed, parts)
    assert int(chosen) == int(best)
