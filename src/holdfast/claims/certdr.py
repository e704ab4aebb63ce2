"""Certified rankings over synonyms: exhaustive rewriting breaks none, and some are certified."""

from __future__ import annotations

from itertools import product
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.certify.discrete import ranking
from holdfast.certify.discrete.certdr import shifts
from holdfast.certify.discrete.ranking import certified_top
from holdfast.certify.discrete.synonyms import SynonymSmoothed
from holdfast.claims.harness import Claim, Trial
from holdfast.threats.tokens import Substitutions

WORDS, GROUP, LENGTH, DOCUMENTS, QUERIES, EDITS = 12, 4, 4, 5, 60, 2
SETS = torch.tensor(
    [[v if v // GROUP == w // GROUP else -1 for v in range(w - 2, w + 3)] for w in range(WORDS)]
)
TABLE = torch.tensor(
    [[v if v // GROUP == w // GROUP else w for v in range(w - 1, w + 2)] for w in range(WORDS)]
)


def _by_first_set(model: SynonymSmoothed, word: Tensor, other: Tensor) -> Tensor:
    """Bug: overlaps are divided by the size of the first set alone."""
    p, q = model.sets[word], model.sets[other]
    both = ((p[..., :, None] == q[..., None, :]) & (p[..., :, None] >= 0)).sum((-1, -2))
    return both.double() / (p >= 0).sum(-1)


def _one_word(model: SynonymSmoothed, x: Tensor, threat: Substitutions) -> Tensor:
    """Bug: the bound is that of a single replacement."""
    return shifts(model, x, Substitutions(edits=1, table=threat.table))


def _nothing(model: SynonymSmoothed, x: Tensor, threat: Substitutions) -> Tensor:
    """Bug: the score that is attacked is not moved at all."""
    return torch.zeros(len(x), dtype=torch.float64)


class _Sum:
    """Relevance as a sum over words."""

    def __init__(self, lean: Tensor) -> None:
        self.lean = lean

    def __call__(self, ids: Tensor) -> Tensor:
        return 2 * self.lean[ids].sum(1)


def _tight(ids: Tensor) -> Tensor:
    """Relevant where the last word of the first group stands, a little where the third group does.

    The edge of a group never draws its other end, the word beside it does in a quarter of draws.
    """
    some = torch.where((ids >= 2 * GROUP).any(1), -0.6, -50.0)
    return torch.where((ids == GROUP - 1).any(1), 50.0, some).double()


def _rewritten(text: Tensor) -> Tensor:
    found = torch.tensor(list(product(*(sorted(set(TABLE[w].tolist())) for w in text.tolist()))))
    return found[(found != text).sum(1) <= EDITS]


def trial(seed: int, mutant: str = "") -> Trial:
    """Certified first places that some rewriting of another document takes."""
    g, threat = torch.Generator().manual_seed(seed), Substitutions(edits=EDITS, table=TABLE)
    bound = {"one-word": _one_word, "no-shift": _nothing}.get(mutant, shifts)
    overlap = _by_first_set if mutant == "divides-by-first-set" else SynonymSmoothed.overlap
    broken = certified = 0
    for query in range(QUERIES):
        # Some words of each group are worth much: what a set gains or loses shows.
        weight = 3 * (torch.rand(WORDS, generator=g, dtype=torch.float64) < 0.3)
        lean = weight - 1.5 + 0.5 * torch.randn(WORDS, generator=g, dtype=torch.float64)
        model = SynonymSmoothed(_tight if query == 0 else _Sum(lean), SETS)
        docs = torch.randint(WORDS, (DOCUMENTS, LENGTH), generator=g)
        if query == 0:  # here the bound is attained, so that less of it would be broken
            docs = torch.tensor([[2 * GROUP] * EDITS, [0] * EDITS, [GROUP] * EDITS])
        with (
            patch.object(ranking, "shifts", bound),
            patch.object(SynonymSmoothed, "overlap", overlap),
        ):
            top = certified_top(model, docs, 1, threat)
        if not top.certified:
            continue
        certified += 1
        first = float(model(docs[top.rows]))
        rest = [row for row in range(len(docs)) if row != int(top.rows[0])]
        best = max(float(model(_rewritten(docs[row])).max()) for row in rest)
        broken += int(best >= first)
    return Trial(broken, 0, broken == 0 and certified > 0)


CLAIM = Claim(
    paper="certdr",
    methods=("certifier:certdr",),
    says="Of certified first places, none is taken by any rewriting of two words of any other "
    "document, tried exhaustively, and some places are certified.",
    left="certified first places that some rewriting takes",
    right="none",
    trial=trial,
    seeds=(81, 82),
    mutants=("one-word", "no-shift", "divides-by-first-set"),
    seconds=30,
)
