"""What is said of each slice: its numbers beside those of the whole set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from holdfast.checks.gym.slice import Slice
from holdfast.core.data import Batches
from holdfast.core.kinds import Model
from holdfast.core.records import Cell, Reading
from holdfast.measures.outputs.over_time import mcnemar
from holdfast.ops.multiple import benjamini_hochberg
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class Line:
    """One slice of the table.

    Args:
        of: the slice.
        right: `(n,)` bool.
        answers: `(n,)` classes.
        p: that the slice is no worse than what it is compared with.
        invariance: share of answers equal to those to the sources; NaN where there are none.
        unrobust: share of answers that do not do what they should; NaN likewise.
        worse: whether it is significantly worse, all slices considered.
    """

    of: Slice
    right: Tensor
    answers: Tensor
    p: float
    invariance: float
    unrobust: float
    worse: bool = False

    def reading(self, alpha: float, seed: int) -> Reading:
        """Its accuracy."""
        return proportion(f"gym.{self.of.kind.split()[0]}.{self.of.name}", int(self.right.sum()),
                          len(self.right), alpha=alpha, seed=seed)  # fmt: skip

    def row(self, alpha: float) -> dict[str, Cell]:
        """Its row of the table."""
        r = self.reading(alpha, 0)
        return {
            "slice": self.of.name, "kind": self.of.kind, "n": len(self.right), "accuracy": r.value,
            "low": r.low, "high": r.high, "invariance": self.invariance,
            "unrobust": self.unrobust, "classes": _shares(self.of.data.y),
            "predictions": _shares(self.answers), "p": self.p, "worse": self.worse,
        }  # fmt: skip


def _shares(values: Tensor) -> str:
    """Shares of whole numbers, as percent."""
    found, counts = values.unique(return_counts=True)
    return " ".join(
        f"{int(k)}:{100 * int(c) / len(values):.0f}%" for k, c in zip(found, counts, strict=True)
    )


def lines(
    model: Model, whole: Batches, slices: Sequence[Slice], *, level: float = 0.05
) -> tuple[Tensor, list[Line]]:
    """Whether each row of the whole set is right, and a line for each slice.

    Subpopulations and foreign sets are compared with the rest by Fisher's exact test, one-sided;
    changed rows with their own sources by McNemar's. Which ones are worse is decided for all
    together by Benjamini and Hochberg.

    Args:
        model: the subject.
        whole: the data set.
        slices: of it, and foreign ones.
        level: expected share of slices that are called worse and are not.

    Cost: one forward per row of the whole set and per changed or foreign row.
    """
    z = outputs(model, whole.x)
    right, said = correct(z, whole.y), z.argmax(1)
    made = [_line(model, s, right, said) for s in slices]
    worse = benjamini_hochberg(torch.tensor([line.p for line in made]), level)
    return right, [replace(m, worse=bool(w)) for m, w in zip(made, worse, strict=True)]


def _line(model: Model, s: Slice, right: Tensor, said: Tensor) -> Line:
    nan = float("nan")
    if s.kind == "subpopulation" and s.rows is not None:
        own = right[s.rows]
        return Line(s, own, said[s.rows], _fisher(own, right[~s.rows]), nan, nan)
    z = outputs(model, s.data.x)
    own, answers = correct(z, s.data.y), z.argmax(1)
    if s.rows is None or s.whole is None:
        return Line(s, own, answers, _fisher(own, right), nan, nan)
    before, source = right[s.rows], said[s.rows]
    p = mcnemar(before, own) if int(own.sum()) < int(before.sum()) else 1.0
    same = answers == source
    kept = s.data.y == s.whole.y[s.rows]
    failed = torch.where(kept, ~same, same | (before & ~own))
    return Line(s, own, answers, p, float(same.double().mean()), float(failed.double().mean()))


def _fisher(part: Tensor, rest: Tensor) -> float:
    """p-value that a part is right as often as the rest, against less often."""
    from scipy.stats import hypergeom

    hits, n, every = int(part.sum()), len(part), len(part) + len(rest)
    return float(hypergeom.cdf(hits, every, hits + int(rest.sum()), n)) if n else 1.0
