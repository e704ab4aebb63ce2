"""Measures of image quality: do they agree with people, and are they worth optimising?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.ops.ranking import rank_correlation

LEAST = 3
SLOPES = (-20.0, 20.0)


def fitted(predicted: Tensor, opinion: Tensor) -> Tensor:
    """`(n,)` opinions as a logistic curve with a linear part sees them in the predictions.

    q(s) = b1 (1/2 - 1 / (1 + exp(b2 (s - b3)))) + b4 s + b5: five numbers by least squares, from
    a rising and a falling start; the straight line itself where neither helps.

    Args:
        predicted: `(n,)`.
        opinion: `(n,)`.
    """
    from scipy.optimize import least_squares
    from scipy.special import expit

    s, q = predicted.double().cpu(), opinion.double().cpu()
    s = (s - s.mean()) / s.std().clamp(min=1e-12)
    line = torch.linalg.lstsq(torch.stack([s, torch.ones_like(s)], 1), q[:, None]).solution[:, 0]
    a, b = s.numpy(), q.numpy()

    def curve(w: Any) -> Any:
        return w[0] * (expit(w[1] * (a - w[2])) - 0.5) + w[3] * a + w[4]

    best, value = float((q - line[0] * s - line[1]).square().sum()), line[0] * s + line[1]
    params = 5
    for slope in (1.0, -1.0) if len(a) > params else ():
        start = [float(q.max() - q.min()), slope, 0.0, 0.0, float(q.mean())]
        found = least_squares(lambda w: curve(w) - b, start, max_nfev=200)
        if 2 * found.cost < best:
            best, value = 2 * found.cost, torch.as_tensor(curve(found.x))
    best_fit: Tensor = value
    return best_fit


def _pearson(a: Tensor, b: Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(a.norm() * b.norm())
    return float(a @ b) / scale if scale > 0 else 0.0


def _numbers(predicted: Tensor, opinion: Tensor) -> tuple[float, float, float]:
    from scipy.stats import kendalltau

    tau = float(kendalltau(predicted.numpy(), opinion.numpy()).statistic)
    rho = float(rank_correlation(predicted[None], opinion[None])[0])
    return rho, tau if tau == tau else 0.0, _pearson(predicted, opinion)  # noqa: PLR0124


@dataclass(frozen=True, eq=False)
class Assessment:
    """How predictions of quality go with opinions: Spearman, Kendall, Pearson after the curve.

    Args:
        values: of the three.
        low: lower ends of their intervals.
        high: upper ends.
        n: images.
        seed: of the bootstrap.
        name: prefix of the readings.
    """

    values: tuple[float, float, float]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int
    seed: int
    name: str

    @property
    def srcc(self) -> float:
        """Rank correlation, by which measures are compared."""
        return self.values[0]

    def readings(self) -> tuple[Reading, ...]:
        """All three."""
        words = zip(("srcc", "krcc", "plcc"), self.values, self.low, self.high, strict=True)
        return tuple(
            Reading(name=f"{self.name}.{word}", value=v, low=min(v, low), high=max(v, high),
                    n=self.n, unit="correlation", seed=self.seed)
            for word, v, low, high in words
        )  # fmt: skip


@register("measure", cites="perceptual-asymmetry")
def quality_assessment(
    predicted: Tensor,
    opinion: Tensor,
    *,
    draws: int = 100,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "quality",
) -> Assessment:
    """Correlation of a measure of quality with opinions: of ranks, and after a logistic curve.

    Spearman and Kendall (tau-b) ask for the order alone; Pearson's is taken after a monotone curve
    of five numbers is fitted, because opinions saturate.

    Args:
        predicted: `(n,)` quality of each image by the measure; turn distances round first.
        opinion: `(n,)` mean opinions, or a known order of quality.
        draws: bootstrap resamples, under the curve of all images.
        alpha: intervals aim at a coverage of 1 - alpha.
        seed: of the resamples.
        name: prefix of the readings.

    Raises:
        ShapeError: for fewer than three images, different lengths, or numbers not finite.
        ConfigError: for less than one draw.
    """
    a, b = predicted.detach().double().cpu().flatten(), opinion.double().cpu().flatten()
    inside("[1, inf]", name, draws=draws)
    if len(a) != len(b) or len(a) < LEAST or not bool((a.isfinite() & b.isfinite()).all()):
        raise ShapeError(
            f"{name}: needs {LEAST} finite pairs or more, got {len(a)} and {len(b)}",
            fix="Give one opinion per prediction, and leave out pairs that are not finite.",
        )
    curve = fitted(a, b)
    rho, tau, _ = _numbers(a, b)
    g = Dice.of(0, seed).generator(name)
    again = []
    for _ in range(draws):
        pick = torch.randint(len(a), (len(a),), generator=g)
        again.append([*_numbers(a[pick], b[pick])[:2], _pearson(curve[pick], b[pick])])
    level = torch.tensor([alpha / 2, 1 - alpha / 2], dtype=torch.float64)
    ends = torch.tensor(again).double().quantile(level, dim=0).tolist()
    return Assessment((rho, tau, _pearson(curve, b)), tuple(ends[0]), tuple(ends[1]), len(a), seed,
                      name)  # fmt: skip


def judged(results: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean rank of each optimised measure among all, by every judge but itself; 1 is best.

    Args:
        results: optimised measure -> judge -> quality of what came out (larger is better).
    """
    names = list(results)
    total = dict.fromkeys(names, 0.0)
    for judge in names:
        for name in names:
            if name == judge:
                continue
            others = [n for n in names if n != judge]
            mine = results[name][judge]
            better = sum(results[n][judge] > mine for n in others)
            equal = sum(results[n][judge] == mine for n in others)
            total[name] += (better + (equal + 1) / 2) / len(others)
    return {name: value * len(names) / max(len(names) - 1, 1) for name, value in total.items()}


def asymmetry(assessment: Mapping[str, float], optimisation: Mapping[str, float]) -> float:
    """1 - Spearman between how well measures assess and how well they optimise: 0 if they agree.

    Args:
        assessment: measure -> correlation with opinions.
        optimisation: measure -> quality of what it optimises (larger is better).
    """
    names = list(assessment)
    a, b = (torch.tensor([d[n] for n in names]).double() for d in (assessment, optimisation))
    return 1 - float(rank_correlation(a[None], b[None])[0])
