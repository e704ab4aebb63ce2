"""Values of categorical columns, changed at a cost."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Count, Ingredient, NonNegative, ingredient, settings
from holdfast.threats.edits import Edits
from holdfast.threats.number import shown
from holdfast.threats.tokens import budgeted


@register("threat", name="categories", cites="universal-robust-embeddings")
@settings
class Categories(Edits):
    """Values of a table's columns are replaced, each at its cost, within a budget per row.

    Inputs are whole numbers `(B, L)`: the value that each column has. Putting b in the place of a
    in column i costs `costs[i, a, b]`, in money, time or risk; it need not be symmetric, and
    infinity means that it cannot be done. Numbers are cut into intervals first. Without costs
    every replacement costs 1, and the budget is how many columns may change.

    Args:
        budget: largest sum of costs of a row.
        values: how many values a column may have.
        costs: `(L, values, values)`, at least 0, and 0 where nothing changes.
    """

    blank = -1
    budget: NonNegative = 2.0
    values: Count = 8
    costs: Ingredient[Tensor] = ingredient()

    @property
    def high(self) -> float:  # type: ignore[override]
        """The largest value."""
        return self.values - 1.0

    @property
    def spec(self) -> str:
        return f"categories:{shown(self.budget)}:{self.values}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Categories:
        """From the words behind the name: budget and number of values."""
        budget, values = budgeted(words, text, "values", "categories:2:8", cls.values)
        return cls(budget=budget, values=values)

    def where(self, x: Tensor) -> Tensor:
        return torch.arange(x.shape[1], device=x.device).expand(x.shape)

    def limits(self, x: Tensor) -> tuple[float, float]:
        return self.budget, float(x.shape[1])

    def choices(self, x: Tensor) -> Tensor:
        return torch.arange(self.values, device=x.device).expand(*x.shape, self.values)

    def price(self, x: Tensor, change: Tensor) -> Tensor:
        known = (change >= 0) & (change < self.values)
        if self.costs is None:
            cost = (change != x).double()
        else:
            shape = (x.shape[1], self.values, self.values)
            if tuple(self.costs.shape) != shape:
                raise ShapeError(
                    f"{self.spec}: costs have the shape {tuple(self.costs.shape)}, not {shape}",
                    fix="Give one cost per column and value.",
                )
            table = self.costs.to(x.device, torch.float64)
            column = torch.arange(x.shape[1], device=x.device)
            cost = table[column, x.long(), change.long().clamp(0, self.values - 1)]
        return torch.where(change == x, 0.0, torch.where(known, cost, torch.inf))

    def scaled(self, factor: float) -> Categories:
        return replace(self, budget=self.budget * factor)
