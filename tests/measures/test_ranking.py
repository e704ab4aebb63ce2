"""Gains of rankings by hand and against sklearn."""

from math import log2

import pytest
import torch
from sklearn.metrics import ndcg_score

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.measures.outputs.ranking import ranking_robustness
from holdfast.measures.outputs.retrieval import drop_rate, mrr, ndcg, rank_of
from holdfast.testing.worlds.search import Bm25, collection


def test_three_documents_by_hand() -> None:
    scores, rel = torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[2.0, 0.0, 1.0]])
    best = 3 + 1 / log2(3)
    assert float(ndcg(scores, rel)) == pytest.approx((1 / log2(3) + 3 / 2) / best)
    assert float(ndcg(scores, rel, k=1)) == 0 and float(mrr(scores, rel)) == 0.5
    assert float(mrr(scores, rel, k=1)) == 0 and bool(ndcg(scores, 0 * rel).isnan())
    assert rank_of(scores, torch.tensor([0])).tolist() == [3]
    tied = torch.zeros(1, 3)
    assert [int(rank_of(tied, torch.tensor([i]))) for i in range(3)] == [1, 2, 3]
    assert float(mrr(tied, rel)) == 1
    with pytest.raises(ShapeError):
        ndcg(scores, rel[:, :2])
    with pytest.raises(ConfigError):
        ndcg(scores, rel, k=0)


def test_linear_gain_is_that_of_sklearn() -> None:
    g = torch.Generator().manual_seed(0)
    scores, rel = torch.rand(12, 30, generator=g), torch.randint(4, (12, 30), generator=g)
    for k in (1, 5, 10, 30):
        own = ndcg(scores, rel, k=k, gain="linear")
        assert float(own.mean()) == pytest.approx(ndcg_score(rel.numpy(), scores.numpy(), k=k))


def test_losses_by_hand() -> None:
    rel = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    good, bad = torch.tensor([[2.0, 1.0]] * 3), torch.tensor([[1.0, 2.0]] * 3)
    found = ranking_robustness(good, rel, [good, bad])
    assert found.variance == 0 and found.drops().tolist() == pytest.approx([0, 1 / log2(3) - 1])
    named = {r.name: r for r in found.readings()}
    assert "1 of 3 queries" in named["ranking.gain"].flags[0] and named["ranking.gain"].n == 2
    assert named["ranking.queries.worst"].value == pytest.approx(1 - 1 / log2(3))
    assert named["ranking.queries.loss"].value == pytest.approx((1 - 1 / log2(3)) / 2)
    assert drop_rate(0.5, 1.0) == -0.5 and drop_rate(0.0, 0.0) == 0


def test_a_query_word_more_always_raises_bm25() -> None:
    queries, documents, _ = collection(documents=30, queries=5)
    ranker = Bm25(documents)
    for q in queries:
        for d in documents:
            more = " ".join([q.split()[0], *d.split()[1:]])
            if d.split()[0] not in q.split():
                assert ranker.score(q, more) > ranker.score(q, d)
