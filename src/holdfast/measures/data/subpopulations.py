"""Scores of rows, and the parts of a data set that intervals of scores cut out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.ops.batch import Inputs
from holdfast.ops.english import NEGATIONS, POSSESSIVE, QUANTIFIERS, TEMPORAL
from holdfast.ops.ranking import ranks

_TOKEN = re.compile(r"n't\b|[^\W_]+?(?=n't\b)|[^\W_]+")
RowScore = Callable[[Batches], Tensor]


def tokens(text: str) -> tuple[str, ...]:
    """The words of a text in small letters; the n't of a contraction is one of its own."""
    return tuple(_TOKEN.findall(text.lower()))


@dataclass(eq=False)
class Cached:
    """An operation on single texts that is done once for each.

    Args:
        of: the operation.
        calls: how often it was really done.
    """

    of: Callable[..., object]
    calls: int = 0
    _kept: dict[Hashable, object] = field(default_factory=dict, repr=False)

    def __call__(self, text: str) -> object:
        """What the operation gives for this text."""
        if text not in self._kept:
            self._kept[text] = self.of(text)
            self.calls += 1
        return self._kept[text]


def jaccard(a: str, b: str) -> float:
    """Share of the different words of two texts that both have; 0 for two empty ones."""
    left, right = set(tokens(a)), set(tokens(b))
    return len(left & right) / len(left | right) if left | right else 0.0


def _texts(x: Inputs, who: str) -> list[str]:
    if isinstance(x, Sequence):
        return list(x)
    raise Unsupported(
        f"{who}: needs texts, got {type(x).__name__}", fix="Give inputs as a list of texts."
    )


def _floats(x: Inputs, who: str) -> Tensor:
    if isinstance(x, Tensor) and x.is_floating_point() and x.dim() > 1:
        return x.detach().flatten(1).double()
    raise Unsupported(
        f"{who}: needs one tensor of numbers",
        fix="Give inputs as one tensor of numbers, rows first.",
    )


def words(batches: Batches) -> Tensor:
    """`(B,)`: how many words each text has."""
    texts = _texts(batches.x, "words")
    return torch.tensor([float(len(tokens(t))) for t in texts], dtype=torch.float64)


def holds(listed: Collection[str], name: str = "holds") -> RowScore:
    """A score of texts: how many words of a list they hold.

    Args:
        listed: words in small letters; "n't" is one.
        name: for messages.
    """

    def score(batches: Batches) -> Tensor:
        texts = _texts(batches.x, name)
        counts = [sum(w in listed for w in tokens(t)) for t in texts]
        return torch.tensor(counts, dtype=torch.float64)

    return score


def overlap(separator: str = "\t") -> RowScore:
    """A score of pairs of texts, written as one: the Jaccard index of their words.

    Args:
        separator: what stands between the two.
    """

    def score(batches: Batches) -> Tensor:
        texts = _texts(batches.x, "overlap")
        pairs = [t.partition(separator)[::2] for t in texts]
        if any(separator not in t for t in texts):
            raise Unsupported(
                f"overlap: texts without the separator {separator!r}",
                fix=f"Join the two texts of every row by {separator!r}, or give the separator "
                "they have.",
            )
        return torch.tensor([jaccard(a, b) for a, b in pairs], dtype=torch.float64)

    return score


def level(batches: Batches) -> Tensor:
    """`(B,)`: mean of all numbers of a row; the brightness of an image."""
    return _floats(batches.x, "level").mean(1)


def spread(batches: Batches) -> Tensor:
    """`(B,)`: standard deviation of the numbers of a row; the contrast of an image."""
    return _floats(batches.x, "spread").std(1, correction=0)


def label(batches: Batches) -> Tensor:
    """`(B,)`: the label."""
    if batches.y.dim() != 1:
        raise Unsupported(
            f"label: needs one label per row, got labels {tuple(batches.y.shape)}",
            fix="Give labels (B,), one class per row.",
        )
    return batches.y.double()


def feature(position: int) -> RowScore:
    """A score of rows of a table: one of their numbers."""
    return lambda batches: _floats(batches.x, "feature")[:, position]


SCORES: dict[str, RowScore] = {
    "words": words,
    "negation": holds(NEGATIONS, "negation"),
    "temporal": holds(TEMPORAL, "temporal"),
    "possessive": holds(POSSESSIVE, "possessive"),
    "quantifier": holds(QUANTIFIERS, "quantifier"),
    "level": level,
    "spread": spread,
}
LISTS = frozenset({"negation", "temporal", "possessive", "quantifier"})


def cut(score: Tensor, edges: Sequence[float], *, percent: bool = True) -> list[tuple[str, Tensor]]:
    """Name and mask of the rows between neighbouring edges, the lower one included.

    Args:
        score: `(B,)` of the rows; NaN belongs nowhere.
        edges: rising; the last part includes its upper edge.
        percent: edges are percentiles of the scores: 0 to 100 cuts the rows into parts that
            neither overlap nor leave one out. Equal scores stay together.

    Raises:
        ConfigError: unless there are two edges or more, and they rise.
    """
    if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
        raise ConfigError(f"cut: edges must rise, got {tuple(edges)}", fix="Use (0, 25, 75, 100).")
    known = ~score.isnan()
    at = score.double().clone()
    if percent and bool(known.any()):
        at[known] = 100 * (ranks(at[known]) - 0.5) / int(known.sum())
    sign = "%" if percent else ""
    found = []
    for i, (low, high) in enumerate(pairwise(edges)):
        inside = (at >= low) & ((at < high) | ((at == high) & (i == len(edges) - 2)))
        found.append((f"{low:g}{sign}-{high:g}{sign}", inside))
    return found
