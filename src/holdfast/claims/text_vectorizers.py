"""Text vectors move no further than their bounds, which are attained, and less in long texts."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from holdfast.certify.discrete.vectorizers import (
    concat_shift,
    paragraph_shift,
    paragraph_vector,
    tfidf,
    tfidf_shift,
)
from holdfast.claims.harness import Claim, Trial
from holdfast.threats.tokens import Substitutions

WORDS, ROWS, RIDGE = 100, 30, 0.5


def _texts(g: torch.Generator, length: int) -> Tensor:
    """Words by Zipf's law."""
    chance = 1 / torch.arange(1, WORDS + 1, dtype=torch.float64)
    return torch.multinomial(chance.expand(ROWS, -1), length, replacement=True, generator=g)


def _concat(g: torch.Generator, ids: Tensor, edits: int) -> Tensor:
    """Ratios of the move by the most distant words to the bound: exactly one."""
    vectors = torch.randn(WORDS, 5, generator=g, dtype=torch.float64)
    far, to = torch.cdist(vectors, vectors).max(1)
    places = far[ids].topk(edits, 1).indices
    moved = ids.scatter(1, places, to[ids.gather(1, places)])
    move = (vectors[moved] - vectors[ids]).flatten(1).norm(dim=1)
    threat = Substitutions(edits=edits, vocabulary=WORDS, blank=-1)
    ratio: Tensor = move / concat_shift(vectors, ids, threat)
    return ratio


def _counts(mutant: str, weights: Tensor, length: int, edits: int) -> Tensor:
    """The worst case of plain counts: one word replaced by one other of equal weight."""
    same, ids = torch.ones_like(weights), torch.zeros(1, length, dtype=torch.int64)
    moved = ids.clone()
    moved[:, :edits] = 1
    move = (tfidf(same, moved, normalised=False) - tfidf(same, ids, normalised=False)).norm(dim=1)
    threat = Substitutions(edits=edits, vocabulary=WORDS, blank=-1)
    bound = tfidf_shift(same, ids, threat, normalised=False)
    ratio: Tensor = move / (bound / 2**0.5 if mutant == "no-root-of-two" else bound)
    return ratio


def _normalised(mutant: str, weights: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Moves of normalised vectors under substitutions by the heaviest word, and their bounds."""
    edits = min(4, ids.shape[1])
    threat = Substitutions(edits=edits, vocabulary=WORDS, blank=-1)
    moved = ids.clone()
    moved[:, :edits] = int(weights.argmax())
    move = (tfidf(weights, moved) - tfidf(weights, ids)).norm(dim=1)
    bound = tfidf_shift(weights, ids, threat)
    if mutant == "forgets-to-normalise":  # as if the length were that of the number of words
        bound = tfidf_shift(weights, ids, threat, normalised=False) / ids.shape[1] / WORDS
    return move, bound


def trial(seed: int, mutant: str = "") -> Trial:
    """The largest ratio of a move to its bound, over vectorizers and lengths."""
    g = torch.Generator().manual_seed(seed)
    weights = 1 + torch.rand(WORDS, generator=g, dtype=torch.float64)
    outputs = torch.randn(WORDS, 4, generator=g, dtype=torch.float64)
    spread = float(torch.cdist(outputs, outputs).max())
    ratios, means = [], {}
    for length in (10, 80, 640):
        ids = _texts(g, length)
        ratios += [_concat(g, ids, 4).max(), _counts(mutant, weights, length, 4).max()]
        move, bound = _normalised(mutant, weights, ids)
        ratios.append((move / bound).max())
        means[length] = float(move.mean())
        moved = ids.clone()
        moved[:, 0] = WORDS - 1
        far = paragraph_vector(outputs, moved, RIDGE) - paragraph_vector(outputs, ids, RIDGE)
        factor = 10.0 if mutant == "too-convex" else 1.0
        promise = paragraph_shift(spread, factor * RIDGE, length, 1)
        ratios.append((far.norm(dim=1) / promise).max())
    worst = float(torch.stack(ratios).max())
    slope = (log(means[640]) - log(means[10])) / log(64)
    tight = worst > 1 - 1e-9
    return Trial(worst, 1.0, worst <= 1 + 1e-9 and tight and -1.05 < slope < -0.45)


CLAIM = Claim(
    paper="text-vectorizers",
    methods=("certifier:vectorizer",),
    says="Substitutions move concatenated, TF-IDF and paragraph vectors no further than bounded; "
    "the first two bounds are attained, and normalised TF-IDF moves by a falling power of length.",
    left="largest ratio of a move to its bound",
    right="one, up to rounding",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("no-root-of-two", "forgets-to-normalise", "too-convex"),
    seconds=10,
)
