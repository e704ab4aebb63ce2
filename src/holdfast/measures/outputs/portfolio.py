"""Ensembles and portfolios chosen from predictions that are already there, without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Count
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading
from holdfast.ops.ranking import ranks
from holdfast.run.reading import average

Error = Callable[[Tensor, Tensor], float]


def log_loss(shares: Tensor, y: Tensor) -> float:
    """Mean negative logarithm of the share of the label.

    Args:
        shares: `(B, K)` probabilities of the classes; those below 1e-12 count as that.
        y: `(B,)` labels.

    Returns:
        In nats, at least 0.
    """
    own = shares.double().gather(1, y[:, None]).clamp(min=1e-12)
    return float(-own.log().mean())


def error_rate(shares: Tensor, y: Tensor) -> float:
    """Share of rows whose label is not the largest."""
    return float((shares.argmax(1) != y).double().mean())


def ensemble_selection(
    predictions: Tensor, y: Tensor, *, steps: int = 40, error: Error = log_loss
) -> Tensor:
    """Weights `(m,)` of models, chosen one by one with repetition; they add up to 1.

    Each step adds the model that makes the mean prediction best, and the best mean of all steps
    is taken. The first step is the best single model, so on the rows that were chosen on the
    ensemble is never worse. Choose on held-out rows and report on others.

    Args:
        predictions: `(m, n, K)` class shares of each model.
        y: `(n,)` labels.
        steps: models that are added, repetitions counted.
        error: (shares, labels) -> what shall be small.

    Raises:
        ConfigError: for less than one step.
        ShapeError: if predictions and labels do not fit.
    """
    inside("[1, inf]", "ensemble_selection", steps=steps)
    if predictions.dim() != 3 or predictions.shape[1] != len(y):
        raise ShapeError(
            "ensemble_selection: predictions must be (models, rows, classes) for "
            f"{len(y)} labels, got {tuple(predictions.shape)}",
            fix="Stack the predictions of all models for the rows of y.",
        )
    every = predictions.double()
    total, counts = torch.zeros_like(every[0]), torch.zeros(len(every), dtype=torch.float64)
    best, kept = float("inf"), counts
    for step in range(1, steps + 1):
        errors = [error((total + p) / step, y) for p in every]
        chosen = min(range(len(errors)), key=errors.__getitem__)  # ties: the first
        total, counts = total + every[chosen], counts.clone()
        counts[chosen] += 1
        if errors[chosen] < best - 1e-12:
            best, kept = errors[chosen], counts
    return kept / kept.sum()


def normalised(errors: Tensor) -> Tensor:
    """`(d, m)` errors in [0, 1]: 0 the best of a data set's models, 1 the median and beyond."""
    best = errors.amin(1, keepdim=True)
    half = errors.double().quantile(0.5, dim=1, keepdim=True)
    return ((errors - best) / (half - best).clamp(min=1e-12)).clamp(0, 1)


def worst_over(errors: Tensor, share: float = 0.0) -> Tensor:
    """`(d, m)` from `(shifts, d, m)`: the mean over the worst share of shifts, the worst one at 0.

    Portfolios of it are robust to all shifts jointly, not on average.
    """
    count = max(1, round(share * len(errors)))
    return errors.sort(0, descending=True).values[:count].mean(0)


def greedy_portfolio(errors: Tensor, size: int) -> list[int]:
    """Models to try in this order: each lowers most the mean over data sets of the best so far.

    What is lowered is submodular, so a portfolio gains at least `1 - 1/e` of what the best one of
    its size does. Ties go to the first model.

    Args:
        errors: `(d, m)` of each model on each data set, normalised.
        size: models, at most m.

    Raises:
        ConfigError: for a size below 1.
    """
    inside("[1, inf]", "greedy_portfolio", size=size)
    best = torch.full((len(errors), 1), torch.inf, dtype=torch.float64)
    chosen: list[int] = []
    for _ in range(min(size, errors.shape[1])):
        value = torch.minimum(best, errors.double()).sum(0)
        value[chosen] = torch.inf
        chosen.append(int(value.argmin()))
        best = torch.minimum(best, errors[:, chosen[-1:]].double())
    return chosen


@dataclass(frozen=True, eq=False)
class Portfolio:
    """Models that together do well on most data sets, and what they do on ones not seen.

    Args:
        order: models, by the data of all sets.
        held_out: `(d,)` normalised error of each set's portfolio, chosen on the other sets.
        average_rank: `(m,)` of each model over the data sets.
        alpha: of the intervals.
        name: prefix of the readings.
        seed: of the bootstrap.
    """

    order: tuple[int, ...]
    held_out: Tensor
    average_rank: Tensor
    alpha: float
    name: str
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Mean normalised error on held-out data sets."""
        found = average(f"{self.name}.held-out", self.held_out, better="lower", alpha=self.alpha,
                        seed=self.seed)  # fmt: skip
        return (found,)

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `table`."""
        return tuple(
            {"place": k, "model": m, "average rank": float(self.average_rank[m])}
            for k, m in enumerate(self.order, 1)
        )


@register("measure", cites="tabrepo")
def portfolio(
    errors: Tensor,
    *,
    size: Count = 5,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "portfolio",
) -> Portfolio:
    """A list of models to try first on data that nobody has seen, from errors on other data.

    Each data set is left out in turn; the portfolio is chosen on the others, and the best of its
    models on the set left out counts.

    Args:
        errors: `(d, m)` errors of m models on d data sets.
        size: models in the portfolio.
        alpha: the intervals aim at a coverage of 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: for less than two data sets or none but one model, or errors not finite.
    """
    if errors.dim() != 2 or len(errors) < 2 or not bool(errors.isfinite().all()):
        raise ShapeError(
            f"{name}: needs finite errors (d, m) of two data sets or more, got "
            f"{tuple(errors.shape)}",
            fix="Give one row per data set, one column per method, and leave out those "
            "without a number.",
        )
    scaled = normalised(errors.double())
    left = []
    for k in range(len(errors)):
        others = torch.cat([scaled[:k], scaled[k + 1 :]])
        left.append(scaled[k, greedy_portfolio(others, size)].min())
    order = tuple(greedy_portfolio(scaled, size))
    return Portfolio(order, torch.stack(left), ranks(errors).mean(0), alpha, name, seed)
