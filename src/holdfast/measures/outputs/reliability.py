"""A calibration error from its settings: which confidences, which bins, which norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.ranges import inside, one_of
from holdfast.core.records import Cell, Reading
from holdfast.measures.outputs.bins import Norm, equal_mass, equal_width, error, tally
from holdfast.measures.outputs.labelled import Labelled

Scheme = Literal["width", "mass"]
Of = Literal["answer", "classes"]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence against accuracy, bin by bin, and the calibration error.

    Args:
        confidence: mean confidence of each bin that has rows.
        accuracy: share of right answers of each of these bins.
        count: rows of each of these bins.
        error: the expected calibration error with its interval.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]
    error: Reading

    def readings(self) -> tuple[Reading, ...]:
        """The calibration error."""
        return (self.error,)

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `reliability`."""
        bins = zip(self.confidence, self.accuracy, self.count, strict=True)
        return tuple({"confidence": c, "accuracy": a, "count": n} for c, a, n in bins)

    def parts(self) -> tuple[float, float, float]:
        """Reliability, resolution and uncertainty: the first less the second plus the third is
        the Brier score of `the answer is right`, where bins hold one confidence each.
        """
        n = max(sum(self.count), 1)
        bins = list(zip(self.confidence, self.accuracy, self.count, strict=True))
        mean = sum(a * k for _, a, k in bins) / n
        reliability = sum(k * (c - a) ** 2 for c, a, k in bins) / n
        resolution = sum(k * (a - mean) ** 2 for _, a, k in bins) / n
        return reliability, resolution, mean * (1 - mean)


@dataclass(frozen=True)
class Binning:
    """How an error is read off confidences; the settings of `ece`.

    Args:
        bins: how many.
        scheme: bins of equal width, or of as many rows each.
        norm: of the gaps over bins.
        of: which confidences: that of the answer, or those of all classes.
        debias: take off what chance adds to a squared gap; for `norm="l2"` only.
        threshold: probabilities of classes below it do not count, in [0, 1).
    """

    bins: int = 15
    scheme: Scheme = "width"
    norm: Norm = "l1"
    of: Of = "answer"
    debias: bool = False
    threshold: float = 0.0

    def checked(self, name: str) -> Binning:
        """Itself.

        Raises:
            ConfigError: for less than one bin, words that are none, or a correction that is
                not defined.
        """
        words = {"scheme": (self.scheme, Scheme), "norm": (self.norm, Norm), "of": (self.of, Of)}
        for key, (word, allowed) in words.items():
            one_of(get_args(allowed), name, **{key: word})
        inside("[1, inf]", name, bins=self.bins)
        inside("[0, 1)", name, threshold=self.threshold)
        if self.debias and self.norm != "l2":
            raise ConfigError(
                f"{name}: debias is defined for norm='l2' only, got norm={self.norm!r}",
                fix="Give norm='l2', or debias=False.",
            )
        return self

    def pairs(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Confidences `(N, C)`, -1 where left out, and whether what they speak of is so."""
        if self.of == "answer":  # the largest share alone: no other one is divided
            top, answer = z.max(1, keepdim=True)
            sure = (z - top).exp_().sum(1, keepdim=True).reciprocal_()
            return sure, (answer == y[:, None]).to(z.dtype)
        p = z.softmax(1)
        return p.masked_fill(p < self.threshold, -1.0), F.one_hot(y, p.shape[1]).to(p.dtype)

    def bin_of(self, sure: Tensor) -> Tensor:
        """Bins of confidences."""
        return (equal_width if self.scheme == "width" else equal_mass)(sure, self.bins)

    def error(self, sure: Tensor, hit: Tensor) -> float:
        """The error of confidences `(N, C)`."""
        return error(tally(sure, hit, self.bin_of(sure), self.bins), self.norm, self.debias)


def reliability(
    rows: Labelled, binning: Binning, *, draws: int, alpha: float, seed: int, name: str
) -> Reliability:
    """Bins, error, and its basic bootstrap interval.

    The plain error is biased upwards by noise in each bin, and a resample repeats that bias.
    The basic interval, 2 e - quantile, subtracts it.
    """
    binning.checked(name)
    inside("[1, inf]", name, draws=draws)
    kept = rows.kept()
    n = len(kept.y)
    if n == 0:
        nothing = Reading(
            name=name, value=float("nan"), low=0.0, high=1.0, n=0, better="lower", flags=rows.flags
        )
        return Reliability((), (), (), nothing)
    sure, hit = binning.pairs(kept.z, kept.y)
    value = binning.error(sure, hit)
    generator = Dice.of(0, seed).generator(name)
    again = torch.empty(draws, dtype=torch.float64)
    for i in range(draws):
        pick = torch.randint(n, (n,), generator=generator).to(hit.device)
        again[i] = binning.error(sure[pick], hit[pick])
    ends = again.quantile(torch.tensor([alpha / 2, 1 - alpha / 2], dtype=torch.float64)).tolist()
    reading = Reading(
        name=name, value=value, low=max(0.0, min(value, 2 * value - ends[1])),
        high=min(1.0, max(value, 2 * value - ends[0])), n=n, better="lower", seed=seed,
        flags=rows.flags,
    )  # fmt: skip
    pooled = [t.sum(0) for t in tally(sure, hit, binning.bin_of(sure), binning.bins)]
    full = pooled[2] > 0
    mean = [(t[full] / pooled[2][full]).tolist() for t in pooled[:2]]
    counts = pooled[2][full].long().tolist()
    return Reliability(tuple(mean[0]), tuple(mean[1]), tuple(counts), reading)
