"""Sets of answers: how often they hold the true one, how large they are, and where they fail."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ShapeError
from holdfast.core.inputs import some_rows
from holdfast.core.records import Reading
from holdfast.run.reading import average, proportion


@dataclass(frozen=True, eq=False)
class SetCoverage:
    """Sets against labels.

    Args:
        held: `(n,)` bool, whether the set of each labelled row holds its label.
        size: `(n,)` int64, classes in each set.
        y: `(n,)` labels.
        edges: sizes that divide the strata: up to the first, up to the second ..., above.
        alpha: of the intervals.
        name: prefix of the readings.
    """

    held: Tensor
    size: Tensor
    y: Tensor
    edges: tuple[int, ...]
    alpha: float
    name: str

    def readings(self) -> tuple[Reading, ...]:
        """Coverage, mean size, share of empty sets, coverage of each stratum and worst class."""
        n = len(self.y)
        found = [
            self._of(f"{self.name}.coverage", torch.ones_like(self.held)),
            average(f"{self.name}.size", self.size, better="lower", unit="classes",
                    alpha=self.alpha),
            proportion(f"{self.name}.empty", int((self.size == 0).sum()), n, better="lower",
                       alpha=self.alpha),
        ]  # fmt: skip
        ends = (-1, *self.edges, torch.iinfo(torch.int64).max)
        for low, high in pairwise(ends):
            chosen = (self.size > low) & (self.size <= high)
            word = f"size_to_{high}" if high in self.edges else "size_above"
            if bool(chosen.any()):
                found.append(self._of(f"{self.name}.coverage.{word}", chosen))
        classes = [
            self._of(f"{self.name}.coverage.worst_class", self.y == k) for k in self.y.unique()
        ]
        return (*found, min(classes, key=lambda r: r.value))

    def _of(self, name: str, chosen: Tensor) -> Reading:
        return proportion(
            name, int(self.held[chosen.bool()].sum()), int(chosen.sum()), alpha=self.alpha
        )


@register("measure", cites="split-conformal")
def set_coverage(
    sets: Tensor,
    y: Tensor,
    *,
    edges: tuple[int, ...] = (1, 3),
    alpha: float = 0.05,
    name: str = "sets",
) -> SetCoverage:
    """How often sets of answers hold the label, overall, by their size and in the worst class.

    A conformal promise is about the average row; sets that keep it may fail on every hard row.
    Coverage by size shows that, and so does the worst class (of several the first; its interval
    is that of one class).

    Args:
        sets: `(B, K)` bool, the classes in the set of each row.
        y: `(B,)` labels; -100 does not count.
        edges: sizes that divide the strata, rising.
        alpha: each interval covers with probability at least 1 - alpha.
        name: prefix of the readings.

    Raises:
        ShapeError: if sets and labels do not fit, or nothing is labelled.
    """
    if sets.dim() != 2 or sets.dtype != torch.bool or y.shape != sets.shape[:1]:
        raise ShapeError(
            f"{name}: sets {sets.dtype} {tuple(sets.shape)} do not fit labels {tuple(y.shape)}",
            fix="Pass a mask (B, K) and labels (B,).",
        )
    known = y.to(sets.device) != UNLABELLED
    some_rows(known.nonzero(), name, what="labelled row")
    mask, labels = sets[known], y.to(sets.device)[known].long()
    held = mask.gather(1, labels[:, None]).squeeze(1)
    return SetCoverage(held.cpu(), mask.sum(1).cpu(), labels.cpu(), edges, alpha, name)
