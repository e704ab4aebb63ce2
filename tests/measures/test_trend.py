"""F1 and correlation against scikit-learn; trades by hand."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, matthews_corrcoef

from holdfast.measures.outputs.trend import backtest, reproduction_score, trend


def test_against_sklearn():
    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(300, 4, generator=g), torch.randint(4, (300,), generator=g)
    z[torch.arange(300), y] += 1
    said = z.argmax(1)
    macro, weighted, mcc = trend(z, y)
    assert macro.value == pytest.approx(f1_score(y, said, average="macro"))
    assert weighted.value == pytest.approx(f1_score(y, said, average="weighted"))
    assert mcc.value == pytest.approx(matthews_corrcoef(y, said))
    assert 0.02 < macro.high - macro.low < 0.2


def test_scores_of_reproduction():
    claimed = torch.tensor([80.0, 70, 60])
    assert reproduction_score(claimed, claimed) == 100
    assert reproduction_score(claimed, claimed + 5) == pytest.approx(95)
    found = claimed + torch.tensor([1.0, -1, 0])
    assert reproduction_score(claimed, found) == pytest.approx(100 - (2 / 3) ** 0.5)


def test_trades_by_hand():
    signals = torch.tensor([1, 2, 1, 0, 2, 1])
    prices = torch.tensor([10.0, 11, 13, 12, 10, 15])
    assert backtest(signals, prices) == pytest.approx((12 - 11) + (15 - 10))
    assert backtest(signals, prices, cost=0.5) == pytest.approx(6 - 3 * 0.5)
    assert backtest(torch.ones(6).long(), prices) == 0
