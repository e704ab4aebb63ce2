"""Amino acids replaced by similar ones, at a price read from a substitution matrix."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Natural, NonNegative, settings
from holdfast.threats.edits import Edits
from holdfast.threats.number import shown
from holdfast.threats.tokens import budgeted

RESIDUES = "ARNDCQEGHILKMFPSTWYV"
# BLOSUM62 (Henikoff and Henikoff 1992), lower triangle in the order of RESIDUES.
_BLOSUM62 = """
4
-1 5
-2 0 6
-2 -2 1 6
0 -3 -3 -3 9
-1 1 0 0 -3 5
-1 0 0 2 -4 2 5
0 -2 0 -1 -3 -2 -2 6
-2 0 1 -1 -3 0 0 -2 8
-1 -3 -3 -3 -1 -3 -3 -4 -3 4
-1 -2 -3 -4 -1 -2 -3 -4 -3 2 4
-1 2 0 -1 -3 1 1 -2 -1 -3 -2 5
-1 -1 -2 -3 -1 0 -2 -3 -2 1 2 -1 5
-2 -3 -3 -3 -2 -3 -3 -3 -1 0 0 -3 0 6
-1 -2 -2 -1 -3 -1 -1 -2 -2 -3 -3 -1 -2 -4 7
1 -1 1 0 -1 0 0 0 -1 -2 -2 0 -1 -2 -1 4
0 -1 0 -1 -1 -1 -1 -2 -2 -1 -1 -1 -1 -2 -1 1 5
-3 -3 -4 -4 -2 -2 -3 -2 -2 -3 -2 -3 -1 1 -4 -3 -2 11
-2 -2 -2 -3 -2 -1 -2 -3 2 -1 -1 -2 -1 3 -3 -2 -2 2 7
0 -3 -3 -3 -1 -2 -2 -3 -3 3 1 -2 1 -1 -2 -2 0 -3 -1 4
"""


def blosum62() -> Tensor:
    """`(20, 20)` int64: BLOSUM62 in the order of `RESIDUES`; symmetric."""
    return _matrix().clone()


@cache
def _matrix() -> Tensor:
    table = torch.zeros(20, 20, dtype=torch.int64)
    for i, line in enumerate(_BLOSUM62.split("\n")[1:-1]):
        row = torch.tensor([int(v) for v in line.split()])
        table[i, : i + 1] = table[: i + 1, i] = row
    return table


def residues(sequence: str) -> Tensor:
    """`(L,)` ids of the amino acids of a sequence.

    Raises:
        ConfigError: for a letter that stands for none of the twenty.
    """
    if wrong := sorted(set(sequence) - set(RESIDUES)):
        raise ConfigError(
            f"residues: {wrong[0]!r} is none of {RESIDUES}", fix="Write residues by their letters."
        )
    return torch.tensor([RESIDUES.index(letter) for letter in sequence])


@register("threat", name="residues", cites="protein-folding-robustness")
@settings
class Residues(Edits):
    """Amino acids are replaced so that the sequence stays biologically similar.

    Replacing s by t costs `B[s, s] - B[s, t]` in BLOSUM62, so residues that evolution exchanges
    freely are cheap; the costs of a row sum to at most the budget. The cost is not symmetric:
    only the diagonal entry of the original residue counts.

    Args:
        budget: largest sum of costs of a row, in units of the matrix.
        sites: largest number of residues replaced.
    """

    blank = -1
    high = 19.0
    budget: NonNegative = 20.0
    sites: Natural = 5

    @property
    def spec(self) -> str:
        return f"residues:{shown(self.budget)}:{self.sites}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Residues:
        """From the words behind the name: budget and sites."""
        budget, sites = budgeted(words, text, "sites", "residues:20:5", cls.sites)
        return cls(budget=budget, sites=sites)

    def where(self, x: Tensor) -> Tensor:
        return torch.arange(x.shape[1], device=x.device).expand(x.shape)

    def limits(self, x: Tensor) -> tuple[float, float]:
        return self.budget, float(self.sites)

    def choices(self, x: Tensor) -> Tensor:
        return torch.arange(20, device=x.device).expand(*x.shape, 20)

    def price(self, x: Tensor, change: Tensor) -> Tensor:
        table = _matrix().to(x.device)
        known = (change >= 0) & (change < 20)
        cost = (table.diag()[x] - table[x, change.clamp(0, 19)]).double()
        return torch.where(known, cost, torch.inf)

    def scaled(self, factor: float) -> Residues:
        return replace(self, budget=self.budget * factor, sites=round(self.sites * factor))
