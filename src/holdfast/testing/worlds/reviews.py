"""Short reviews of known sentiment, and linear readers of them that are trained in no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.dice import Dice

NOUNS = ("film", "story", "acting", "music", "ending", "plot", "camera", "script", "cast", "pace")
GOOD = ("good", "great", "lovely", "clever", "funny", "fresh", "strong", "bright")
BAD = ("bad", "awful", "dreadful", "stupid", "dull", "stale", "weak", "boring")
TAILS = (
    "", "we think", "as far as we know", "and we saw it twice on a rainy day",
    "said a friend of ours after the show in town", "for what it is worth",
)  # fmt: skip
Grams = Literal["words", "pairs", "letters"]


def reviews(n: int, seed: int = 0, *, negated: float = 0.3) -> Batches:
    """Sentences like "the film was not good", labelled 1 for praise; `group` is 1 with a not.

    How long a sentence is says nothing about its label.

    Args:
        n: rows.
        seed: of the draws.
        negated: share of sentences with a negation.
    """
    dice = Dice.of(n, seed, "reviews")
    noun, word, tail, good = (dice.integers(k).tolist() for k in (10, 8, len(TAILS), 2))
    no = dice.uniform() < negated
    texts = [
        f"{'' if d else 'indeed '}the {NOUNS[a]} was {'not ' if d else ''}"
        f"{(GOOD if c else BAD)[b]} {TAILS[e]}".strip()
        for a, b, c, d, e in zip(noun, word, good, no.tolist(), tail, strict=True)
    ]
    y = torch.tensor(good, dtype=torch.int64) ^ no.long()
    return Batches(x=texts, y=y, group=no.long(), classes=("blame", "praise"))


@dataclass(frozen=True, eq=False)
class Reader:
    """Logistic regression on counts, as a model of texts.

    Args:
        counts: texts -> a matrix of counts.
        weight: `(features,)`.
        bias: of the log odds.
    """

    counts: Callable[[Sequence[str]], Any]
    weight: Tensor
    bias: float

    @classmethod
    def fit(cls, data: Batches, grams: Grams = "words", *, lower: bool = True) -> Reader:
        """Trained on texts.

        Args:
            data: texts with labels 0 and 1.
            grams: counts of words, of words and pairs of them, or of three letters in a row.
            lower: whether letters are made small first.
        """
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression

        kind = {
            "words": ("word", (1, 1)),
            "pairs": ("word", (1, 2)),
            "letters": ("char_wb", (2, 3)),
        }
        analyzer, reach = kind[grams]
        maker = CountVectorizer(analyzer=analyzer, ngram_range=reach, lowercase=lower)
        fitted = LogisticRegression(C=10.0, max_iter=500).fit(
            maker.fit_transform(data.x), data.y.numpy()
        )
        return cls(maker.transform, torch.from_numpy(fitted.coef_[0]), float(fitted.intercept_[0]))

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """`(B, 2)` logits."""
        if not len(texts):
            return torch.zeros(0, 2, dtype=torch.float64)
        odds = torch.from_numpy(self.counts(texts) @ self.weight.numpy()) + self.bias
        return torch.stack([-odds / 2, odds / 2], 1)
