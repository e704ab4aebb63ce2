"""How well classes are told on balance: F1 and the correlation of answers with labels."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.goal import Outputs
from holdfast.core.inputs import same_shape, some_rows
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled

DRAWS = 400


def f1_scores(counts: Tensor) -> Tensor:
    """`(..., K)` F1 of each class, 0 for one that neither occurs nor is answered.

    Args:
        counts: `(..., K, K)`, rows are labels, columns answers.
    """
    counts = counts.double()
    hit = counts.diagonal(dim1=-2, dim2=-1)
    return 2 * hit / (counts.sum(-1) + counts.sum(-2)).clamp(min=1e-300)


def matthews(counts: Tensor) -> Tensor:
    """`(...)` correlation of answers and labels of any classes; 0 where either is constant."""
    counts = counts.double()
    total = counts.sum((-2, -1))
    label, answer = counts.sum(-1), counts.sum(-2)
    hit = counts.diagonal(dim1=-2, dim2=-1).sum(-1)
    cover = hit * total - (label * answer).sum(-1)
    spread = (total**2 - (label**2).sum(-1)) * (total**2 - (answer**2).sum(-1))
    return torch.where(spread > 0, cover / spread.clamp(min=1e-300).sqrt(), 0.0)


def _statistics(counts: Tensor) -> dict[str, Tensor]:
    """Each statistic of tables `(..., K, K)`; classes without rows do not count."""
    each, size = f1_scores(counts), counts.double().sum(-1)
    here = (size > 0).double()
    return {
        "f1": (each * here).sum(-1) / here.sum(-1).clamp(min=1),
        "f1.weighted": (each * size).sum(-1) / size.sum(-1).clamp(min=1),
        "mcc": matthews(counts),
    }


@register("measure", cites="lobcast")
def trend(
    outputs: Outputs, y: Tensor, *, alpha: float = 0.05, seed: int = 0, name: str = "trend"
) -> tuple[Reading, ...]:
    """Macro F1, F1 weighted by class sizes, and Matthews' correlation.

    Unlike accuracy none of them is flattered by the class that is most frequent. Intervals are
    quantiles of the same statistic over bootstrap samples of the rows.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        alpha: the intervals aim at a coverage of 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if outputs and labels do not fit, or no row is labelled.
    """
    rows = labelled(outputs, y)
    kept, k = rows.kept(), rows.z.shape[1]
    some_rows(rows.y, name, what="labelled row")
    # A row without finite logits has no answer: it counts in a column of its own.
    wide = torch.zeros(k + 1, k + 1, dtype=torch.float64)
    wide[:k, :k] = torch.bincount(kept.y * k + kept.z.argmax(1), minlength=k * k).reshape(k, k)
    wide[:k, k] = torch.bincount(rows.y[~rows.finite], minlength=k)
    n = int(wide.sum())
    g = Dice.of(1, seed).generator("trend")
    which = torch.multinomial(wide.flatten(), DRAWS * n, replacement=True, generator=g)
    samples = torch.zeros(DRAWS, (k + 1) ** 2, dtype=torch.float64)
    samples.scatter_add_(1, which.view(DRAWS, n), torch.ones(DRAWS, n, dtype=torch.float64))
    ends = torch.tensor([alpha / 2, 1 - alpha / 2], dtype=torch.float64)
    drawn = _statistics(samples.view(DRAWS, k + 1, k + 1))
    found = []
    for word, value in _statistics(wide).items():
        low, high = drawn[word].quantile(ends).tolist()
        at = float(value)
        found.append(Reading(name=f"{name}.{word}", value=at, low=min(low, at), high=max(high, at),
                             n=n, seed=seed, flags=rows.flags))  # fmt: skip
    return tuple(found)


def reproduction_score(claimed: Tensor, found: Tensor) -> float:
    """100 less the mean distance and the spread of claimed and found scores, in points.

    With scores found on the data of the claim it tells how far it can be reproduced, on other data
    how far it generalises.

    Args:
        claimed: `(n,)` scores in points, such as F1 by horizon.
        found: `(n,)` likewise.

    Raises:
        ShapeError: unless there are as many of both, and one at least.
    """
    same_shape("reproduction_score", claimed=claimed, found=found)
    some_rows(claimed.flatten(), "reproduction_score", what="score")
    gap = found.double() - claimed.double()
    return 100 - float(gap.mean().abs() + gap.std(correction=0))


def backtest(signals: Tensor, prices: Tensor, cost: float = 0.0) -> float:
    """What trading one share on signals would have earned.

    It is bought on a signal to rise (2), sold on one to fall (0), and kept on none (1).

    Args:
        signals: `(T,)` answers, each acted on at its own price.
        prices: `(T,)`.
        cost: of each purchase and sale.

    Raises:
        ConfigError: for a negative cost.
        ShapeError: unless there are as many prices as signals.
    """
    inside("[0, inf)", "backtest", cost=cost)
    same_shape("backtest", signals=signals, prices=prices)
    told = torch.where(signals != 1, torch.arange(len(signals)), -1).cummax(0).values
    held = torch.where(told >= 0, (signals[told.clamp(min=0)] == 2).double(), 0.0)
    gain = (held[:-1] * prices.double().diff()).sum()
    trades = held.diff().abs().sum() + held[:1].sum()
    return float(gain - cost * trades)
