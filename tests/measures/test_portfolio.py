"""Selections against brute force."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.measures.outputs.portfolio import (
    ensemble_selection,
    error_rate,
    greedy_portfolio,
    log_loss,
    normalised,
    portfolio,
    worst_over,
)

G = torch.Generator().manual_seed(0)
P = torch.randn(6, 40, 3, generator=G).softmax(2)
Y = torch.randint(3, (40,), generator=G)


@pytest.mark.parametrize("error", [log_loss, error_rate])
def test_never_worse_than_the_best_model(error):
    for steps in (1, 3, 25):
        w = ensemble_selection(P, Y, steps=steps, error=error)
        mean = (w[:, None, None] * P).sum(0)
        best = min(error(p, Y) for p in P)
        assert float(w.sum()) == pytest.approx(1) and error(mean, Y) <= best + 1e-12
        if steps == 1:
            assert int(w.argmax()) == min(range(6), key=lambda k: error(P[k], Y))


def test_two_steps_are_the_greedy_pair():
    w = ensemble_selection(P, Y, steps=2)
    first = min(range(6), key=lambda k: log_loss(P[k], Y))
    second = min(range(6), key=lambda k: log_loss((P[first] + P[k]) / 2, Y))
    want = torch.zeros(6).double()
    want[first] += 0.5
    want[second] += 0.5
    assert torch.allclose(w, want)


def test_portfolios_against_all_pairs():
    errors = torch.rand(7, 6, generator=G)
    value = [float(errors[:, greedy_portfolio(errors, k)].amin(1).sum()) for k in (1, 2, 3, 6)]
    assert value == sorted(value, reverse=True)
    pairs = [float(errors[:, list(p)].amin(1).sum()) for p in combinations(range(6), 2)]
    assert min(pairs) <= value[1] + 1e-6
    singles = errors.sum(0)
    assert value[0] == pytest.approx(float(singles.min()))
    assert sorted(greedy_portfolio(errors, 9)) == list(range(6))


def test_normalised_and_worst():
    e = torch.tensor([[1.0, 2, 3, 4, 5]])
    assert torch.allclose(normalised(e), torch.tensor([[0, 0.5, 1, 1, 1]]).double())
    stack = torch.tensor([[[1.0]], [[3.0]], [[2.0]]])
    assert float(worst_over(stack)) == 3 and float(worst_over(stack, 0.67)) == 2.5


def test_a_specialist_pair_serves_held_out_sets():
    errors = torch.full((8, 5), 0.5)
    errors[::2, 1] = 0.0
    errors[1::2, 3] = 0.0
    errors += torch.linspace(0, 0.1, 5)
    found = portfolio(errors, size=2)
    assert set(found.order) == {1, 3} and float(found.held_out.max()) == 0
    with pytest.raises(ShapeError):
        portfolio(errors[:1])
    with pytest.raises(ConfigError):
        greedy_portfolio(errors, 0)
