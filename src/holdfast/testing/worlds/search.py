"""A collection of documents on topics, and three ways to rank them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from math import log

import torch
from torch import Tensor

from holdfast.testing.worlds.linear import draws
from holdfast.testing.worlds.quizzes import made_up

Units = Callable[[str], Sequence[str]]


def collection(
    documents: int = 120, queries: int = 20, topics: int = 10, seed: int = 0
) -> tuple[list[str], list[str], Tensor]:
    """Queries of three words of a topic, documents of thirty words, and `(Q, n)` relevance.

    Half the words of a document are of its topic, the others of all topics; common words of a
    topic are more frequent than rare ones.
    """
    g, words = draws(seed), made_up(20 * topics, seed)
    weight = 1 / torch.arange(1.0, 21.0)
    own = torch.randint(topics, (documents,), generator=g)
    texts = []
    for k in own.tolist():
        near = 20 * k + torch.multinomial(weight, 15, True, generator=g)
        far = torch.randint(20 * topics, (15,), generator=g)
        mixed = torch.cat([near, far])[torch.randperm(30, generator=g)]
        texts.append(" ".join(words[i] for i in mixed.tolist()))
    asked = torch.randint(topics, (queries,), generator=g)
    said = [
        " ".join(words[20 * k + i] for i in torch.randperm(6, generator=g)[:3].tolist())
        for k in asked.tolist()
    ]
    return said, texts, (asked[:, None] == own).double()


def whole_words(text: str) -> Sequence[str]:
    """The words of a text."""
    return text.split()


@cache
def three_letters(text: str) -> Sequence[str]:
    """Every three letters in a row within words, their ends included."""
    return tuple(f" {w} "[i : i + 3] for w in text.split() for i in range(len(w)))


class Bm25:
    """The probabilistic ranking of words, or of other units of texts.

    Args:
        documents: the collection, for how common a unit is.
        units: what a text is made of.
    """

    def __init__(self, documents: Sequence[str], units: Units = whole_words) -> None:
        self.units = units
        self.counts = cache(lambda text: Counter(units(text)))
        known: Counter[str] = Counter(u for d in documents for u in set(units(d)))
        n = len(documents)
        self.rarity = {u: log(1 + (n - c + 0.5) / (c + 0.5)) for u, c in known.items()}
        self.length = sum(len(units(d)) for d in documents) / n

    def __call__(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """`(N,)` scores of pairs."""
        return torch.tensor(
            [self.score(q, d) for q, d in zip(queries, documents, strict=True)],
            dtype=torch.float64,
        )

    def score(self, query: str, document: str) -> float:
        """Of one pair."""
        count = self.counts(document)
        long = 1.5 * (0.25 + 0.75 * sum(count.values()) / self.length)
        return sum(
            self.rarity.get(u, 0.0) * 2.5 * count[u] / (count[u] + long)
            for u in self.units(query)
            if u in count
        )


class MeanVectors:
    """Cosine of the mean word vectors, which come from the words that stand together.

    Args:
        documents: the collection.
        rank: length of the vectors.
    """

    def __init__(self, documents: Sequence[str], rank: int = 12) -> None:
        names = sorted({w for d in documents for w in d.split()})
        self.number = {w: i for i, w in enumerate(names)}
        table = torch.zeros(len(documents), len(names), dtype=torch.float64)
        for row, d in zip(table, documents, strict=True):
            row.index_add_(0, self.ids(d), torch.ones(len(self.ids(d)), dtype=torch.float64))
        self.vectors = torch.linalg.svd(table.log1p(), full_matrices=False)[2][:rank].T

    def ids(self, text: str) -> Tensor:
        """Numbers of the words that are known."""
        found = [self.number[w] for w in text.split() if w in self.number]
        return torch.tensor(found, dtype=torch.int64)

    def __call__(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """`(N,)` scores of pairs."""
        a, b = (
            torch.stack([self.vectors[self.ids(t)].sum(0) for t in texts])
            if len(texts) else torch.zeros(0, self.vectors.shape[1], dtype=torch.float64)
            for texts in (queries, documents)
        )  # fmt: skip
        return torch.cosine_similarity(a, b, dim=1)
