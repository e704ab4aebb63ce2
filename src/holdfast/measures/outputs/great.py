"""A score of global robustness that needs outputs on generated samples and no attack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log, pi, sqrt
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Outputs
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import Labelled, labelled
from holdfast.ops.ranking import rank_correlation
from holdfast.ops.statistics import bootstrap_mean

Squash = Literal["softmax", "sigmoid", "softmax-of-sigmoid", "sigmoid-of-softmax", "none"]
MOST = sqrt(pi / 2)  # of a score, since a margin of squashed outputs is at most 1
TEMPERATURES = tuple(2.0 ** (k / 2) for k in range(-16, 13))
UNIT = "Euclidean change of the smoothed margin"

_SQUASH: dict[str, Callable[[Tensor, float], Tensor]] = {
    "softmax": lambda z, t: (z / t).softmax(1),
    "sigmoid": lambda z, t: (z / t).sigmoid(),
    "softmax-of-sigmoid": lambda z, t: (z.sigmoid() / t).softmax(1),
    "sigmoid-of-softmax": lambda z, t: (z.softmax(1) / t).sigmoid(),
    "none": lambda z, t: z,
}


@dataclass(frozen=True, eq=False)
class GreatScore:
    """The score of every sample and its mean.

    Args:
        per_row: `(N,)` in [0, sqrt(pi / 2)]; 0 where the answer is wrong or not finite.
        score: the mean, with the interval of Hoeffding's inequality, valid at every N.
        resampled: the same mean with its bootstrap interval: shorter, right for large N.
    """

    per_row: Tensor
    score: Reading
    resampled: Reading

    def readings(self) -> tuple[Reading, ...]:
        """The mean with both intervals."""
        return self.score, self.resampled


def great_sample_size(error: float, alpha: float = 0.05) -> int:
    """Samples after which the mean is within `error` of its expectation, by Hoeffding.

    Scores lie in an interval of length sqrt(pi / 2), so `(pi / 4) ln(2 / alpha) / error^2` are
    enough. Unlike the paper, whose constant is 32 e / (pi / 4) = 111 times as large.

    Args:
        error: half the width of the interval.
        alpha: probability of a larger error.

    Raises:
        ConfigError: for an error that is not positive or alpha outside (0, 1).
    """
    inside("(0, inf]", "great_sample_size", error=error)
    inside("(0, 1)", "great_sample_size", alpha=alpha)
    return ceil(pi / 4 * log(2 / alpha) / error**2)


def hoeffding(n: int, alpha: float) -> float:
    """Half the width of the interval of a mean of n scores.

    Args:
        n: how many scores.
        alpha: the interval covers the mean with probability at least 1 - alpha.
    """
    return MOST * sqrt(log(2 / alpha) / (2 * n)) if n else MOST


def _scores(rows: Labelled, squash: Squash, temperature: float) -> Tensor:
    m = _SQUASH[squash](rows.z, temperature)
    if squash == "none" and bool(((m < 0) | (m > 1)).any()):
        raise ShapeError(
            "great_score: squash='none' needs outputs in [0, 1]",
            fix="Pass squash='softmax' for logits.",
        )
    lead = Labelled(m, rows.y, rows.finite).lead
    return MOST * torch.where(rows.finite, lead, 0.0).clamp(min=0)


@register("measure", cites="great-score")
def great_score(
    outputs: Outputs,
    y: Tensor,
    *,
    squash: Squash = "softmax",
    temperature: float = 1.0,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "great-score",
) -> GreatScore:
    """Mean of sqrt(pi / 2) times the lead of the label among outputs squashed to [0, 1].

    A function with values in [-1, 1], averaged over standard normal noise, changes by at most
    sqrt(2 / pi) per unit of Euclidean length, and a half-space attains it. So the score is how
    far the margin **of the smoothed model** needs to be pushed in the mean over the samples. It
    proves nothing about the model itself at any input: it is a score to rank models by, and only
    under one squashing and temperature. For a certificate smooth the model (`defence:smoothed`).

    Rows should be drawn from a conditional generator with their labels; those of a data set
    give a score of that data set. Only outputs are needed, as a remote service returns them: for
    one probability p of a binary attribute pass (p, 1 - p) and `squash="none"`.

    Args:
        outputs: logits `(..., K)`, or probabilities with `squash="none"`.
        y: `(...)` labels; -100 does not count.
        squash: how logits become numbers in [0, 1]; the four forms of the paper, or none.
        temperature: divides the logits, or what the inner function made of them.
        alpha: intervals cover with probability at least (Hoeffding) or about 1 - alpha.
        seed: of the bootstrap.
        name: of the reading; `.resampled` is added for the second one.

    Raises:
        ConfigError: for a temperature that is not positive.
        ShapeError: if outputs and labels do not fit, or are not in [0, 1] without squashing.
    """
    inside("(0, inf]", "great_score", temperature=temperature)
    rows = labelled(outputs, y)
    scores = _scores(rows, squash, temperature).cpu()
    n = len(scores)
    mean = float(scores.mean()) if n else float("nan")
    half = hoeffding(n, alpha)
    low, high = (max(0.0, mean - half), min(MOST, mean + half)) if n else (0.0, MOST)
    ends = bootstrap_mean(scores, seed=seed, alpha=alpha) if n else (0.0, MOST)

    def reading(word: str, low: float, high: float) -> Reading:
        return Reading(
            name=word, value=mean, low=min(low, mean) if n else low,
            high=max(high, mean) if n else high, n=n, unit=UNIT, seed=seed, flags=rows.flags,
        )  # fmt: skip

    return GreatScore(scores, reading(name, low, high), reading(f"{name}.resampled", *ends))


def rank_agreement(scores: Sequence[float] | Tensor, others: Sequence[float] | Tensor) -> float:
    """Spearman correlation of two rankings of the same models; 0 where one is constant.

    Args:
        scores: one number per model.
        others: another number for each of the same models.
    """
    a, b = (torch.as_tensor(v, dtype=torch.float64)[None] for v in (scores, others))
    return float(rank_correlation(a, b)[0])


def calibrated_temperature(
    outputs: Sequence[Tensor],
    y: Tensor,
    distances: Sequence[float] | Tensor,
    *,
    squash: Squash = "softmax",
    temperatures: Sequence[float] = TEMPERATURES,
) -> float:
    """The temperature under which the scores rank the models most like their distances do.

    Of several equally good temperatures the one in the middle of the longest run is taken, which
    is the least accidental one.

    Args:
        outputs: logits `(N, K)` of each model on the same samples.
        y: `(N,)` labels.
        distances: of each model, e.g. mean smallest Euclidean change under an attack.
        squash: as in `great_score`.
        temperatures: tried, in rising order.

    Raises:
        ShapeError: for other than one distance per model, or less than two models.
    """
    if len(outputs) != len(distances) or len(outputs) < 2:
        raise ShapeError(
            "calibrated_temperature: needs two models or more, each with a distance, got "
            f"{len(outputs)} models and {len(distances)} distances",
            fix="Give one distance per model, in the same order, of two models or more.",
        )
    found = []
    for t in temperatures:
        means = [float(_scores(labelled(z, y), squash, t).mean()) for z in outputs]
        found.append(round(rank_agreement(means, distances), 12))
    best, runs, start = max(found), [], None
    for k, value in enumerate([*found, -2.0]):
        if value == best and start is None:
            start = k
        elif value != best and start is not None:
            runs.append((k - start, start))
            start = None
    length, first = max(runs)
    return float(temperatures[first + (length - 1) // 2])
