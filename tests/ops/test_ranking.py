"""Order statistics against scipy, scikit-learn and a naive count of pairs."""

import numpy as np
import torch
from scipy.stats import norm, rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from holdfast.ops.ranking import auroc, auroc_interval, rank_correlation, ranks


def test_ranks_share_ties() -> None:
    values = torch.tensor([[3.0, 1.0, 3.0, 2.0, 1.0]])
    assert ranks(values)[0].tolist() == rankdata(values[0].numpy()).tolist()


def test_auroc_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.integers(0, 6, 40) / 2, rng.integers(1, 8, 30) / 2
    pairs = np.mean([(h > lo) + 0.5 * (h == lo) for lo in low for h in high])
    value = auroc(torch.tensor(low), torch.tensor(high))
    labels = np.r_[np.zeros(40), np.ones(30)]
    assert abs(value - pairs) < 1e-12
    assert abs(value - roc_auc_score(labels, np.r_[low, high])) < 1e-12


def test_auroc_interval_covers() -> None:
    rng = np.random.default_rng(1)
    truth = norm.cdf(1 / np.sqrt(2))
    hits = 0
    for _ in range(300):
        low, high = torch.tensor(rng.normal(0, 1, 60)), torch.tensor(rng.normal(1, 1, 50))
        a, b = auroc_interval(low, high)
        hits += a <= truth <= b
    assert 0.91 <= hits / 300 <= 0.985


def test_auroc_interval_of_a_perfect_separation_is_not_a_point() -> None:
    low, high = auroc_interval(torch.arange(20.0), torch.arange(20.0) + 50)
    assert high == 1.0
    assert abs(low - 0.05 ** (1 / 20)) < 1e-12


def test_rank_correlation_is_spearman_row_by_row() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 30, generator=g), torch.randn(5, 30, generator=g).round()
    truth = [spearmanr(x.numpy(), y.numpy()).statistic for x, y in zip(a, b, strict=True)]
    assert torch.allclose(rank_correlation(a, b), torch.tensor(truth).double(), atol=1e-12)
    assert rank_correlation(torch.ones(1, 4), torch.arange(4.0)[None]).item() == 0
