"""Texts as rows of word numbers: what makes threats and attacks on tokens work on text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs

Candidates = Callable[[str], Iterable[str]] | Mapping[str, Sequence[str]]
TextModel = Callable[[list[str]], Outputs]
_AFFIXES = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Words:
    """The words of some texts, their candidates, and numbers for both; 0 stands for no word.

    Runs of white space become one space. A text that must not be edited in front of another (a
    premise, an instruction) is one word without candidates.

    Args:
        words: by number; the first one is empty.
        table: `(V, C)` numbers that may replace each word, its own where there are no more.
    """

    words: tuple[str, ...]
    table: Tensor

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        candidates: Candidates | None = None,
        *,
        before: Sequence[str] = (),
    ) -> Words:
        """The words of these texts, with what may replace each.

        Args:
            texts: which may be edited.
            candidates: word -> words, the nearest first; asked without the signs around a word,
                which are put back.
            before: texts that stand in front of others and are never edited.
        """
        found = sorted({word for text in texts for word in text.split()})
        near = {word: _near(word, candidates) for word in found}
        extra = sorted({w for each in near.values() for w in each} | set(before))
        words = ("", *dict.fromkeys([*found, *(w for w in extra if w)]))
        number = {word: i for i, word in enumerate(words)}
        width = max([len(each) for each in near.values()], default=0)
        table = torch.arange(len(words))[:, None].repeat(1, max(width, 1))
        for word, each in near.items():
            table[number[word], : len(each)] = torch.tensor([number[w] for w in each]).long()
        return cls(words, table)

    def ids(self, texts: Sequence[str], *, before: Sequence[str] = ()) -> Tensor:
        """`(B, L)` word numbers, padded with 0.

        Args:
            texts: made of known words.
            before: text in front of each, as one word; none at all if empty.

        Raises:
            ConfigError: for a word that `of` has not seen.
        """
        number = {word: i for i, word in enumerate(self.words)}
        first = list(before) or [""] * len(texts)
        rows = [([head] if head else []) + text.split()
                for head, text in zip(first, texts, strict=True)]  # fmt: skip
        if lost := [word for row in rows for word in row if word not in number]:
            raise ConfigError(f"Words: {lost[0]!r} is not known", fix="Pass all texts to Words.of.")
        out = torch.zeros(len(rows), max([len(row) for row in rows], default=0), dtype=torch.int64)
        for i, row in enumerate(rows):
            out[i, : len(row)] = torch.tensor([number[word] for word in row], dtype=torch.int64)
        return out

    def texts(self, ids: Tensor) -> list[str]:
        """The texts that rows of word numbers stand for."""
        return [" ".join(self.words[i] for i in row if i) for row in ids.tolist()]

    def reads(self, model: TextModel) -> Reads:
        """A model of word numbers that hands their texts to a model of texts."""
        return Reads(self, model)


@dataclass(frozen=True, eq=False)
class Reads:
    """A model of texts as a model of word numbers.

    Args:
        words: what the numbers mean.
        model: texts -> outputs.
    """

    words: Words
    model: TextModel

    def __call__(self, ids: Tensor) -> Outputs:
        """Outputs for rows of word numbers."""
        return self.model(self.words.texts(ids))


def _near(word: str, candidates: Candidates | None) -> list[str]:
    """Candidates of one word of a text, with the signs around it, each once."""
    head, core, tail = _AFFIXES.match(word).groups()  # type: ignore[union-attr]  # matches all
    if candidates is None or not core:
        return []
    asked = candidates.get(core, ()) if isinstance(candidates, Mapping) else candidates(core)
    found = dict.fromkeys(head + other + tail for other in asked if other and other != core)
    return [w for w in found if not any(c.isspace() for c in w)]


def nearest_words(vectors: Tensor, *, count: int = 50, least: float = 0.5) -> Tensor:
    """`(V, count)`: the words nearest to each by the cosine of their vectors, the nearest first.

    This is the table of `Substitutions(edits=2, table=nearest_words(vectors))`.

    Args:
        vectors: `(V, D)` one vector per word, of an embedding in which neighbours mean the same.
        count: neighbours of a word.
        least: cosine below which a word is no neighbour; its own number stands there instead.
    """
    unit = torch.nn.functional.normalize(vectors.detach().double(), dim=1)
    found = []
    for rows in torch.arange(len(unit)).split(1024):
        alike = unit[rows] @ unit.T
        alike[torch.arange(len(rows)), rows] = -torch.inf
        top = alike.topk(min(count, len(unit)), 1)
        found.append(torch.where(top.values >= least, top.indices, rows[:, None]))
    return torch.cat(found)
