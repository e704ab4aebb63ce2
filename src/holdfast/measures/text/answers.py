"""Answers to questions against gold ones: exact match and overlap of words."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.records import Reading
from holdfast.run.reading import average, proportion

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SIGNS = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Small letters, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_SIGNS)).split())


def word_f1(text: str, gold: str) -> float:
    """F1 of the words of two answers, each counted as often as it occurs; two empty ones agree."""
    a, b = normalised(text).split(), normalised(gold).split()
    if not a or not b:
        return float(a == b)
    shared = sum((Counter(a) & Counter(b)).values())
    return 2 * shared / (len(a) + len(b))


def qa_f1(text: str, golds: Sequence[str]) -> float:
    """F1 with the gold answer that fits best."""
    return max((word_f1(text, g) for g in golds), default=0.0)


def qa_em(text: str, golds: Sequence[str]) -> float:
    """1 where the normalised answer is a gold one."""
    return float(any(normalised(text) == normalised(g) for g in golds))


def scores(texts: Sequence[str], golds: Sequence[Sequence[str]]) -> Tensor:
    """`(N, 2)`: F1 and exact match of every answer."""
    if len(texts) != len(golds):
        raise ShapeError(
            f"{len(texts)} answers for {len(golds)} questions",
            fix="Give one list of accepted answers per question.",
        )
    found = [(qa_f1(t, g), qa_em(t, g)) for t, g in zip(texts, golds, strict=True)]
    return torch.tensor(found, dtype=torch.float64).reshape(-1, 2)


@register("measure", cites="qa-robustness-landscape", says="F1 and exact match of answers.")
def answer_overlap(
    texts: Sequence[str],
    golds: Sequence[Sequence[str]],
    *,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "answers",
) -> tuple[Reading, ...]:
    """Mean F1 and share of exact matches of answers, by the rules of SQuAD.

    Args:
        texts: one answer per question.
        golds: the answers that are right, several per question.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if there are not as many answers as questions.
    """
    found = scores(texts, golds)
    exact = proportion(f"{name}.exact", int(found[:, 1].sum()), len(found), alpha=alpha, seed=seed)
    if not len(found):
        return (exact,)
    return average(f"{name}.f1", found[:, 0], alpha=alpha, seed=seed), exact
