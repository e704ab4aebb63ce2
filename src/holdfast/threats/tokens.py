"""A few tokens of a row, replaced by neighbours."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, Ingredient, Natural, ingredient, settings
from holdfast.threats.edits import Edits
from holdfast.threats.number import read


def numbers(words: list[str], text: str, least: int, most: int, example: str) -> list[int]:
    """Whole numbers behind the name of a threat.

    Raises:
        ConfigError: if there are fewer, more, or others.
    """
    whole = all(w.removeprefix("-").isdigit() for w in words)
    if not least <= len(words) <= most or not whole:
        raise ConfigError(
            f"threat {text!r}: whole numbers belong here", fix=f"Write {example}.", code="E0140"
        )
    return [int(w) for w in words]


def budgeted(words: list[str], text: str, what: str, example: str, usual: int) -> tuple[float, int]:
    """A budget, and behind it a whole number that may be left out.

    Args:
        words: behind the name of the threat.
        text: the whole of it.
        what: the number counts.
        example: how to write it.
        usual: the number where it is left out.

    Raises:
        ConfigError: for other words.
    """
    if not 1 <= len(words) <= 2:
        name = example.partition(":")[0]
        raise ConfigError(
            f"threat {text!r}: {name} takes a budget and a number of {what}",
            fix=f"Write {example}.",
            code="E0140",
        )
    return read(words[0], text), (numbers(words[1:], text, 0, 1, example) or [usual])[0]


@register("threat", name="substitutions", cites="textfooler")
@settings
class Substitutions(Edits):
    """At most `edits` tokens are replaced, each by one of its neighbours in a table.

    Property: what may replace a token depends on that token alone, so the set can be enumerated
    and bounded position by position. Without a table any token may replace any other.

    Args:
        edits: largest number of tokens replaced in a row.
        vocabulary: number of tokens; that of the table where there is one.
        blank: the token of padding, never edited; -1 if there is none.
        table: `(V, C)` ids that may replace each token; its own id fills up. For tokens of an
            embedding in which neighbours mean the same: `threats.words.nearest_words(vectors)`.
    """

    edits: Natural = 1
    vocabulary: Count = 256
    blank: int = 0
    table: Ingredient[Tensor] = ingredient()

    def __post_init__(self) -> None:
        if self.table is None:
            return
        if self.table.dim() != 2 or self.table.is_floating_point():
            raise ValueError(f"table must hold ids (V, C), not {tuple(self.table.shape)}")
        object.__setattr__(self, "vocabulary", len(self.table))

    @property
    def high(self) -> float:  # type: ignore[override]
        """The largest id."""
        return self.vocabulary - 1.0

    @property
    def spec(self) -> str:
        return f"substitutions:{self.edits}:{self.vocabulary}:{self.blank}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Substitutions:
        """From the words behind the name: edits, vocabulary, blank."""
        found = numbers(words, text, 1, 3, "substitutions:3 or substitutions:3:30522:0")
        edits, vocabulary, blank = [*found, *(256, 0)[len(found) - 1 :]]
        return cls(edits=edits, vocabulary=vocabulary, blank=blank)

    def limits(self, x: Tensor) -> tuple[float, float]:
        return float(self.edits), float(self.edits)

    def where(self, x: Tensor) -> Tensor:
        return torch.arange(x.shape[1], device=x.device).expand(x.shape)

    def choices(self, x: Tensor) -> Tensor:
        if self.table is not None:
            found = self.table.to(x.device)[x]
        else:
            found = torch.arange(self.vocabulary, device=x.device).expand(*x.shape, -1)
        return torch.where((x == self.blank)[..., None], x[..., None], found)

    def price(self, x: Tensor, change: Tensor) -> Tensor:
        if self.table is not None:
            known = (self.table.to(x.device)[x] == change[..., None]).any(2)
        else:
            known = (change >= 0) & (change < self.vocabulary)
        known &= (x != self.blank) & (change != self.blank)
        cost = torch.where(known, 1.0, torch.inf).double()
        return torch.where(change == x, 0.0, cost)

    def scaled(self, factor: float) -> Substitutions:
        return replace(self, edits=round(self.edits * factor))
