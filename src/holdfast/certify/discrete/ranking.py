"""Certified rankings: no document outside the top can be written into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from holdfast.certify.discrete.certdr import averaged, shifts
from holdfast.certify.discrete.synonyms import SynonymSmoothed
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ConfigError
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.run.reading import proportion
from holdfast.threats.tokens import Substitutions


@dataclass(frozen=True, eq=False)
class Top:
    """The first documents of one query, and by how much they are out of reach.

    Args:
        rows: `(k,)` positions of the documents, best first.
        margin: how far every document outside stays below all of them whatever is replaced in
            it; positive means certified, NaN scores make it minus infinity.
        confidence: probability that the statement is right; 1 if every version was taken.
    """

    rows: Tensor
    margin: float
    confidence: float

    @property
    def certified(self) -> bool:
        """Whether no document outside can enter."""
        return self.margin > 0


def certified_top(
    model: SynonymSmoothed, documents: Tensor, k: int, threat: Substitutions, *,
    samples: int = 1000, alpha: float = 0.05, dice: Dice | None = None,
) -> Top:  # fmt: skip
    """Which documents come first by smoothed relevance, and whether others can be pushed in.

    The attacker rewrites documents outside the top, each within the threat; those inside stay.
    Estimated scores are bounded from both sides for all documents at once, since which of
    them are inside is read off the same draws.

    Unlike the paper: each document is bounded by its own shift, not by the largest one, and the
    level is divided among the documents.

    Args:
        model: one relevance per text, for one query.
        documents: `(M, L)` ids.
        k: documents inside, fewer than M.
        threat: substitutions in one document.
        samples: fresh draws per document, unless the model takes every version.
        alpha: probability that the statement is wrong.
        dice: one row per document.

    Raises:
        ConfigError: for a k outside [1, M).

    Cost: `samples` forward passes per document, or one per version.
    """
    if not 1 <= k < len(documents):
        raise ConfigError(
            f"certified_top: k must lie in [1, {len(documents)}), got {k}",
            fix="Give k=1.",
        )
    rows = dice_or(dice, len(documents))
    with quiet(model), torch.no_grad():
        mean, apart = averaged(model, documents, samples, rows)
    if mean.shape[1] != 1:
        raise ConfigError(
            f"certified_top: one relevance per text, got {mean.shape[1]} outputs",
            fix="Pass a model that gives one number per text.",
        )
    score = mean[:, 0]
    ends = (log(2 * len(score) / alpha) / (2 * samples)) ** 0.5 if model.samples else 0.0
    order = torch.where(score.isnan(), -torch.inf, score).argsort(descending=True, stable=True)
    inside, outside = order[:k], order[k:]
    reach = (score + apart + shifts(model, documents, threat).to(score.device))[outside].amax()
    margin = float((score - apart)[inside].amin() - reach) - 2 * ends
    margin = margin if bool(score.isfinite().all()) else float("-inf")
    return Top(inside, margin, 1 - alpha if model.samples else 1.0)


def certified_queries(
    tops: Sequence[Top], *, alpha: float = 0.05, name: str = "ranking.certified"
) -> Reading:
    """The share of queries whose top is certified, with its interval (CRQ).

    Args:
        tops: one per query.
        alpha: the interval covers with probability at least 1 - alpha.
        name: of the reading.
    """
    return proportion(name, sum(t.certified for t in tops), len(tops), bound="lower", alpha=alpha)
