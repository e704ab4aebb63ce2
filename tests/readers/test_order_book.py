"""Labels of trends by hand; what the simulator promises by counting."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.readers.synthetic.order_book import (
    order_book,
    rolling_zscore,
    simulated,
    trend_labels,
)


def test_known_paths():
    rising = torch.linspace(100, 110, 30)
    labels = trend_labels(rising, 5, 1e-4)
    assert labels[4:25].tolist() == [2] * 21
    assert labels[:4].tolist() == [-100] * 4 and labels[25:].tolist() == [-100] * 5
    assert set(trend_labels(torch.full((30,), 7.0), 5, 0.0)[4:25].tolist()) == {1}
    assert set(trend_labels(rising.flip(0), 5, 1e-4)[4:25].tolist()) == {0}


def test_against_a_naive_twin_and_without_leakage():
    g = torch.Generator().manual_seed(0)
    mid, k, theta = 100 + torch.randn(40, generator=g).cumsum(0).double(), 3, 0.004
    labels = trend_labels(mid, k, theta)
    for t in range(k - 1, 40 - k):
        before, after = mid[t - k + 1 : t + 1].mean(), mid[t + 1 : t + k + 1].mean()
        change = (after - before) / before
        assert int(labels[t]) == (2 if change > theta else 0 if change < -theta else 1)
    other = mid.clone()
    other[20:] += 50
    assert torch.equal(trend_labels(other, k, theta)[: 20 - k], labels[: 20 - k])
    assert not bool((trend_labels(mid, k, 0.0)[k - 1 : 40 - k] == 1).any())


def test_zscores_look_back_only():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(1)).double()
    z = rolling_zscore(x, 6)
    past = x[4:10]
    assert torch.allclose(z[10], (x[10] - past.mean(0)) / past.std(0, correction=0))
    assert bool((z[:6] == 0).all())


def test_volumes_lean_where_the_price_goes():
    for signal in (0.0, 0.6):
        books, mid = simulated(Dice.of(3000, 1), 12, 2, signal, 1.0)
        ask, bid = books[:, 0, 2:4].log().mean(1), books[:, 0, 6:8].log().mean(1)
        ahead = mid[:, -1] - mid[:, 0]
        told = float(torch.corrcoef(torch.stack([bid - ask, ahead]))[0, 1])
        assert (told > 0.15) if signal else (abs(told) < 0.07)
    assert bool((books[..., 0] > books[..., 4]).all())


def test_classes_are_balanced_and_turbulence_moves_more():
    made = order_book(3000, Dice.of(3000))
    share = torch.bincount(made.y, minlength=3) / 3000
    assert float(share.min()) > 0.2
    wild = order_book(3000, Dice.of(3000), regime="turbulent")
    spread = [m.truth.mid.diff().std() for m in (made, wild)]
    assert float(spread[1] / spread[0]) == pytest.approx(2, rel=0.05)
    with pytest.raises(ConfigError):
        order_book(3, Dice.of(3), history=4)
