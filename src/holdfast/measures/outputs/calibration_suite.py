"""Many calibration errors of the same answers side by side, and whether they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Outputs
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.outputs.bin_free import kernel_density, kernel_mean, kolmogorov
from holdfast.measures.outputs.bins import monotone_bins
from holdfast.measures.outputs.labelled import labelled
from holdfast.measures.outputs.reliability import Binning

BINNED: dict[str, Binning] = {
    "ece": Binning(),
    "ece-mass": Binning(scheme="mass"),
    "mce": Binning(norm="max"),
    "mce-mass": Binning(scheme="mass", norm="max"),
    "rms": Binning(norm="l2"),
    "debiased": Binning(norm="l2", debias=True),
    "classwise": Binning(of="classes"),
    "classwise-mass": Binning(scheme="mass", of="classes"),
}


def _sweep(confidence: Tensor, hit: Tensor) -> float:
    how = Binning(bins=monotone_bins(confidence, hit), scheme="mass")
    return how.error(confidence[:, None], hit[:, None])


FREE: dict[str, Callable[[Tensor, Tensor], float]] = {
    "sweep": _sweep,
    "ks": kolmogorov,
    "mmce": kernel_mean,
    "mmce-balanced": lambda c, h: kernel_mean(c, h, balanced=True),
    "kde": kernel_density,
}


@dataclass(frozen=True, eq=False)
class CalibrationSuite:
    """Calibration errors by name; binned ones end in their number of bins."""

    found: tuple[Reading, ...]

    def readings(self) -> tuple[Reading, ...]:
        """All of them, in a fixed order."""
        return self.found

    def __getitem__(self, name: str) -> float:
        """The value of one, by the last part of its name (`ece.15`, `ks`)."""
        return next(r.value for r in self.found if r.name.endswith(f".{name}"))


def _each(z: Tensor, y: Tensor, bins: tuple[int, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, plain in BINNED.items():
        sure, hit = plain.pairs(z, y)
        for count in bins:
            how = Binning(count, plain.scheme, plain.norm, plain.of, plain.debias)
            found[f"{name}.{count}"] = how.error(sure, hit)
    sure, hit = (t[:, 0] for t in Binning().pairs(z, y))
    return found | {name: measure(sure, hit) for name, measure in FREE.items()}


@register("measure", cites="calibration-benchmark")
def calibration_suite(
    outputs: Outputs,
    y: Tensor,
    *,
    bins: tuple[int, ...] = (5, 10, 15, 20, 25, 50, 100, 200, 500),
    draws: int = 20,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "calibration",
) -> CalibrationSuite:
    """Eight binned calibration errors at every number of bins, and five without bins.

    Binned: `ece`'s settings, of answers and of classes, in equal width and equal mass; the
    number of bins that keeps accuracies rising (`sweep`). Without bins: the largest gap of
    cumulated confidence (`ks`), the kernel mean of residuals (`mmce`, plain and with right and
    wrong answers balanced) and kernel densities (`kde`). A ranking of models that depends on
    which of them is asked is no ranking. Measure tempered logits for the numbers after scaling.

    Intervals are normal, from a bootstrap's spread.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        bins: numbers of bins.
        draws: bootstrap resamples, at least 2.
        alpha: the intervals aim at a coverage of 1 - alpha.
        seed: of the resamples.
        name: prefix of the readings.

    Raises:
        ShapeError: if outputs and labels do not fit, or nothing is labelled.
        ConfigError: for less than one bin or two draws.
    """
    from scipy.stats import norm

    inside("[1, inf]", name, bins=bins)
    inside("[2, inf]", name, draws=draws)
    rows = labelled(outputs, y)
    kept = rows.kept()
    n = len(kept.y)
    if n == 0:
        raise ShapeError(f"{name}: no labelled row with finite outputs", fix="Pass such rows.")
    values = _each(kept.z, kept.y, bins)
    generator = Dice.of(0, seed).generator(name)
    again = []
    for _ in range(draws):
        pick = torch.randint(n, (n,), generator=generator).to(kept.y.device)
        again.append(list(_each(kept.z[pick], kept.y[pick], bins).values()))
    spread = torch.tensor(again, dtype=torch.float64).std(0).tolist()
    half = float(norm.ppf(1 - alpha / 2))
    return CalibrationSuite(tuple(
        Reading(name=f"{name}.{word}", value=v, low=max(0.0, v - half * s), high=v + half * s, n=n,
                better="lower", seed=seed, flags=rows.flags)
        for (word, v), s in zip(values.items(), spread, strict=True)
    ))  # fmt: skip


def agreement(values: Mapping[str, Tensor]) -> dict[tuple[str, str], float]:
    """Kendall's tau between each two measures over a population of models.

    One means that both rank the models alike. NaN where a measure gives all models one value.

    Args:
        values: measure -> `(models,)`.
    """
    from scipy.stats import kendalltau

    return {
        (a, b): float(kendalltau(values[a].cpu().numpy(), values[b].cpu().numpy()).statistic)
        for a, b in combinations(values, 2)
    }


def harmonic_score(accuracy: float, error: float, weight: float = 1.0) -> float:
    """Weighted harmonic mean of accuracy and 1 - calibration error, to choose a model by both.

    Args:
        accuracy: in [0, 1].
        error: calibration error in [0, 1].
        weight: of the accuracy's shortfall; 1 gives the plain harmonic mean.
    """
    below = weight * accuracy + (1 - error)
    return (1 + weight) * accuracy * (1 - error) / below if below > 0 else 0.0
