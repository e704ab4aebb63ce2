"""A slice: rows of a data set, changed versions of them, or rows from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError

Kind = Literal["subpopulation", "transformation", "evaluation set", "attack"]


@dataclass(frozen=True, eq=False)
class Slice:
    """Some rows, and where they come from.

    Subpopulations of one data set can be joined (`|`), intersected (`&`) and inverted (`~`).

    Args:
        name: what the reader sees.
        kind: how it was made.
        data: its rows.
        whole: the data set that its rows, or their sources, are rows of; None for foreign rows.
        rows: `(len(whole),)` bool, which of them; `data` has them in their order.
    """

    name: str
    kind: Kind
    data: Batches
    whole: Batches | None = None
    rows: Tensor | None = None

    @classmethod
    def where(cls, name: str, whole: Batches, mask: Tensor) -> Slice:
        """The rows of a data set that a mask `(B,)` selects."""
        mask = mask.to(torch.bool)
        return cls(name, "subpopulation", whole.take(mask.nonzero().flatten()), whole, mask)

    def __len__(self) -> int:
        return len(self.data)

    def __or__(self, other: Slice) -> Slice:
        return self._made(f"{self.name} or {other.name}", self._mask | other._mask, other)

    def __and__(self, other: Slice) -> Slice:
        return self._made(f"{self.name} and {other.name}", self._mask & other._mask, other)

    def __invert__(self) -> Slice:
        return self._made(f"not {self.name}", ~self._mask, self)

    @property
    def _mask(self) -> Tensor:
        if self.rows is None or self.kind != "subpopulation":
            raise ConfigError(
                f"slice {self.name!r} of kind {self.kind!r}: only subpopulations can be combined",
                fix="Combine slices made by Slice.where.",
            )
        return self.rows

    def _made(self, name: str, mask: Tensor, other: Slice) -> Slice:
        if self.whole is None or self.whole is not other.whole:
            raise ConfigError(
                f"slices {self.name!r} and {other.name!r} are of different data",
                fix="Make both from the same Batches.",
            )
        return Slice.where(name, self.whole, mask)
