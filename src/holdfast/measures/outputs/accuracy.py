"""How often the label is strictly ahead: overall, per class and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.goal import Outputs
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.ops.statistics import quantile_interval
from holdfast.run.reading import proportion


@register("measure", cites="clopper-pearson")
def accuracy(
    outputs: Outputs, y: Tensor, *, alpha: float = 0.05, name: str = "accuracy", threat: str = ""
) -> Reading:
    """Share of rows whose label is strictly ahead, with its Clopper-Pearson interval.

    The interval inverts the binomial tails and so covers with at least 1 - alpha at any number
    of rows. A tie is wrong, and so is a row with a non-finite logit.

    Args:
        outputs: logits `(..., K)`, classes last, or a named tuple with the logits first.
        y: `(...)` labels; -100 does not count.
        alpha: the interval covers with probability at least 1 - alpha.
        name: of the reading.
        threat: under which the outputs arose, in the common grammar.

    Returns:
        One reading; NaN with the interval [0, 1] if nothing is labelled.

    Raises:
        ShapeError: if outputs and labels do not fit.
    """
    rows = labelled(outputs, y)
    return proportion(
        name, int(rows.correct.sum()), len(rows.y), alpha=alpha, threat=threat, flags=rows.flags
    )


@dataclass(frozen=True, eq=False)
class Confusion:
    """Answers by label.

    Args:
        counts: `(K, K)` int64, rows are labels, columns answers; rows with non-finite logits
            stand in no column.
        totals: `(K,)` int64, labelled rows of each class.
        right: `(K,)` int64, rows of each class whose label is strictly ahead.
        alpha: of the intervals.
        name: prefix of the readings.
    """

    counts: Tensor
    totals: Tensor
    right: Tensor
    alpha: float
    name: str

    def readings(self) -> tuple[Reading, ...]:
        """Accuracy of every class that has rows, in the order of the classes."""
        pairs = zip(self.right.tolist(), self.totals.tolist(), strict=True)
        return tuple(
            proportion(f"{self.name}.{k}", c, n, alpha=self.alpha)
            for k, (c, n) in enumerate(pairs)
            if n
        )

    def worst(self) -> Reading:
        """The class with the lowest accuracy; the first one of several."""
        return min(self.readings(), key=lambda r: r.value)


@register("measure", cites="clopper-pearson")
def confusion(
    outputs: Outputs, y: Tensor, *, alpha: float = 0.05, name: str = "accuracy.class"
) -> Confusion:
    """Counts answers by label, and gives the accuracy of every class with its interval.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        alpha: each interval by itself covers with probability at least 1 - alpha.
        name: prefix of the readings, followed by the number of the class.

    Raises:
        ShapeError: if outputs and labels do not fit.
    """
    rows = labelled(outputs, y)
    k = rows.z.shape[1]
    kept = rows.kept()
    counts = torch.bincount(kept.y * k + kept.z.argmax(1), minlength=k * k).reshape(k, k)
    totals = torch.bincount(rows.y, minlength=k)
    right = torch.bincount(rows.y[rows.correct], minlength=k)
    return Confusion(counts.cpu(), totals.cpu(), right.cpu(), alpha, name)


@register("measure", cites="generalization-measures")
def margins(
    outputs: Outputs,
    y: Tensor,
    *,
    levels: tuple[float, ...] = (0.1, 0.5, 0.9),
    alpha: float = 0.05,
    name: str = "margins",
) -> tuple[Reading, ...]:
    """Quantiles of the lead of the label over the best other class, in logits.

    The lead is positive exactly on the rows that are answered right. Its interval comes from
    order statistics and supposes nothing about the distribution.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        levels: of the quantiles, in (0, 1).
        alpha: each interval covers with probability at least 1 - alpha.
        name: prefix of the readings, followed by the level in percent.

    Raises:
        ShapeError: if outputs and labels do not fit.
    """
    rows = labelled(outputs, y)
    lead = rows.kept().lead
    found = []
    for level in levels:
        value = float(lead.quantile(level)) if len(lead) else float("nan")
        low, high = quantile_interval(lead, level, alpha) if len(lead) else (-torch.inf, torch.inf)
        found.append(
            Reading(
                name=f"{name}.q{100 * level:g}", value=value, low=min(float(low), value),
                high=max(float(high), value), n=len(lead), unit="logits", flags=rows.flags,
            )
        )  # fmt: skip
    return tuple(found)
