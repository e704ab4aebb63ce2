"""Ranking by letters survives typos that ranking by words does not; few words lift documents."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.checks.language import ranking as room
from holdfast.checks.language.ranking import RankingCheck, Search
from holdfast.claims.harness import Claim, Trial
from holdfast.core.records import Reading, Subject
from holdfast.measures.outputs.retrieval import mrr, ndcg, rank_of
from holdfast.testing.worlds.search import Bm25, MeanVectors, collection, three_letters

TYPOS = ("letter-added", "letter-omitted", "letters-swapped", "neighbouring-key")
QUERIES = 12


def _asked(ranker: object, task: Search, **more: object) -> tuple[dict[str, Reading], list[float]]:
    check = RankingCheck(task=task, edits=TYPOS, **more)  # type: ignore[arg-type]
    (found,) = check(Subject(model=ranker))  # type: ignore[arg-type]
    rates = [float(r["drop rate"] or 0) for r in found.figures[0].rows]
    return {r.name: r for r in found.readings}, rates


def _from_below(scores: Tensor, document: Tensor) -> Tensor:
    """Mutant: the last document has rank 1."""
    return scores.shape[1] + 1 - rank_of(scores, document)


def trial(seed: int, mutant: str = "") -> Trial:
    """A collection on ten topics, ranked by words, by letters and by vectors."""
    queries, documents, relevance = collection(80, QUERIES, seed=seed)
    task = Search(queries, documents, relevance)
    pool = sorted({w for q in queries for w in q.split()})
    words = sorted({w for d in documents for w in d.split()})
    near = {w: pool[(k % 7) :: 7][:6] for k, w in enumerate(words)}
    lower = _from_below if mutant == "ranks-from-below" else rank_of
    gained = (lambda s, r, **k: mrr(s, r)) if mutant == "first-hit-only" else ndcg
    with patch.object(room, "rank_of", lower), patch(
        "holdfast.measures.outputs.ranking.ndcg", gained
    ):  # fmt: skip
        by_word, right = _asked(Bm25(documents), task)
        _, left = _asked(Bm25(documents, three_letters), task)
        vectors, _ = _asked(MeanVectors(documents), task, candidates=near)
    mean = float(ndcg(Bm25(documents)(
        [q for q in queries for _ in documents], documents * len(queries)
    ).reshape(len(queries), -1), relevance).mean())  # fmt: skip
    held = abs(by_word["ranking.gain"].value - mean) < 1e-9
    held &= vectors["ranking.documents.success"].value > 0.6
    held &= vectors["ranking.documents.edited"].value <= 5 / 30 + 1e-9
    a, b = float(torch.tensor(left).mean()), float(torch.tensor(right).mean())
    return Trial(-a, -b, -a < -b - 0.01 and held)


CLAIM = Claim(
    paper="ranking-robustness",
    methods=("measure:ranking-robustness", "check:ranking-robustness"),
    says="Errors of one letter in queries cost a ranking by letters less than one by words, "
    "by more than a point of its gain, and five replaced words lift over 60 % of the tenth "
    "documents of a ranking by word vectors.",
    left="mean drop rate of the ranking by three letters under typos, as a loss",
    right="that of the ranking by words",
    trial=trial,
    mutants=("ranks-from-below", "first-hit-only"),
    seconds=5,
)
