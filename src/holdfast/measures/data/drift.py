"""Have the rows changed? Two samples of rows, features or answers, and the chance of a fluke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.fields import Count
from holdfast.core.records import Reading
from holdfast.measures.data.two_sample_tests import (
    Correction,
    Tested,
    adjusted,
    chi_square,
    classifier,
    kolmogorov_smirnov,
    mmd,
)
from holdfast.ops.statistics import clopper_pearson
from holdfast.run.reading import proportion

Test = Literal["ks", "mmd", "chi-square", "classifier", "mlp"]


@dataclass(frozen=True, eq=False)
class Drift:
    """What a test of two samples found.

    Args:
        found: statistic and p-value of every question.
        adjusted: `(q,)` p-values after correction.
        rows: how many rows of both samples.
        permutations: behind a p-value that is a share of arrangements, else 0.
        alpha: level of the alarm.
        seed: of all draws.
        name: prefix of the readings.
    """

    found: Tested
    adjusted: Tensor
    rows: int
    permutations: int
    alpha: float
    seed: int
    name: str

    @property
    def p(self) -> float:
        """p-value that nothing has changed, all questions together."""
        return float(self.adjusted.min())

    @property
    def alarm(self) -> bool:
        """Whether it lies below the level."""
        return self.p < self.alpha

    def moved(self) -> list[int]:
        """Features that moved, the clearest first."""
        order = self.adjusted.argsort(stable=True)
        return [int(j) for j in order if self.adjusted[j] < self.alpha]

    def readings(self) -> tuple[Reading, ...]:
        """The p-value, and the share of features that moved."""
        low = high = self.p
        if self.permutations:
            n = self.permutations + 1
            low, high = clopper_pearson(round(self.p * n), n)
        return (
            Reading(name=f"{self.name}.p", value=self.p, low=low, high=high, n=self.rows,
                    unit="probability", better="neither", seed=self.seed),
            proportion(f"{self.name}.moved", len(self.moved()), len(self.adjusted),
                       better="neither", seed=self.seed),
        )  # fmt: skip


def _rows(sample: Tensor, name: str) -> Tensor:
    if sample.dim() < 1 or len(sample) < 2 or not sample[0].numel():
        raise ShapeError(f"{name}: needs at least two rows, got {tuple(sample.shape)}")
    flat = sample.detach().double().reshape(len(sample), -1)
    if not bool(flat.isfinite().all()):
        raise ShapeError(f"{name}: a sample holds numbers that are not finite",
                         fix="Leave such rows out, and report how many there were.")  # fmt: skip
    return flat


@register("measure", cites="drift-tests")
def drift(
    sample: Tensor,
    reference: Tensor,
    *,
    test: Test = "ks",
    correction: Correction = "bonferroni",
    permutations: Count = 199,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "drift",
) -> Drift:
    """Tests whether two samples come from one distribution.

    `ks` asks every feature for itself (Kolmogorov and Smirnov) and corrects for their number;
    `mmd` asks all together, and so do `classifier` and `mlp`, which try to tell the samples
    apart on rows they have not seen; `chi-square` compares counts of whole numbers. Given the
    probabilities that a model answers, `ks` is black-box shift detection (BBSD), and
    `chi-square` of its labels the hard variant; the reference must not be what the model learned
    from, where it is surer. Looking again and again needs a smaller alpha each time.

    Args:
        sample: `(n, ...)` new rows, features or answers.
        reference: `(m, ...)` the same of rows from before.
        test: which.
        correction: for the number of features: bounds the chance of any false alarm
            (`bonferroni`, `holm`), or the share of false ones (`bh`).
        permutations: arrangements behind the p-value of `mmd`.
        alpha: level of the alarm.
        seed: of the draws.
        name: prefix of the readings.

    Raises:
        ShapeError: for fewer than two rows, different features, or numbers that are not finite.
        ConfigError: for a test or correction that does not exist.

    Cost: no passes; `mmd` holds all distances between n + m rows.
    """
    for word, allowed in ((test, Test), (correction, Correction)):
        if word not in get_args(allowed):
            raise ConfigError(f"{name}: {word!r} is none of {', '.join(get_args(allowed))}")
    if permutations < 1:
        raise ConfigError(f"{name}: permutations must be at least 1, got {permutations}")
    a, b = _rows(sample, name), _rows(reference, name)
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"{name}: {a.shape[1]} features now, {b.shape[1]} before")
    b = b.to(a.device)
    if test == "ks":
        found = kolmogorov_smirnov(a, b)
    elif test == "chi-square":
        found = chi_square(a, b)
    elif test == "mmd":
        found = mmd(a, b, permutations=permutations, seed=seed)
    else:
        found = classifier(a, b, kind="mlp" if test == "mlp" else "linear", seed=seed)
    draws = permutations if test == "mmd" else 0
    return Drift(
        found, adjusted(found.p, correction), len(a) + len(b), draws, alpha, seed, name
    )  # fmt: skip


def stability_index(sample: Tensor, reference: Tensor, bins: int = 10) -> Tensor:
    """`(d,)` population stability index: sum of (q - p) ln(q / p) over bins of each feature.

    Bins are quantiles of the reference; from 0.1 a change counts as noticeable, from 0.25 as
    large. Half a row is added to every bin, so that empty ones stay finite.

    Args:
        sample: `(n, d)`.
        reference: `(m, d)`.
        bins: number of bins.
    """
    a, b = _rows(sample, "stability_index"), _rows(reference, "stability_index")
    levels = torch.linspace(0, 1, bins + 1, dtype=b.dtype)[1:-1].to(b.device)
    edges = b.quantile(levels, dim=0).T.contiguous()
    shares = []
    for rows in (a, b):
        place = torch.searchsorted(edges, rows.T.contiguous())
        count = torch.zeros(len(edges), bins, dtype=b.dtype, device=b.device)
        count = count.scatter_add(1, place, torch.ones_like(place, dtype=b.dtype)) + 0.5
        shares.append(count / count.sum(1, keepdim=True))
    q, p = shares
    return ((q - p) * (q / p).log()).sum(1)


def transport(sample: Tensor, reference: Tensor) -> Tensor:
    """`(d,)` Wasserstein distance of each feature: area between the distribution functions.

    Args:
        sample: `(n, d)`.
        reference: `(m, d)`.
    """
    a, b = _rows(sample, "transport"), _rows(reference, "transport")
    both = torch.cat([a, b]).sort(0).values.T.contiguous()
    below = [
        torch.searchsorted(s.T.contiguous().sort(1).values, both[:, :-1].contiguous(), right=True)
        / len(s)
        for s in (a, b)
    ]
    return ((below[0] - below[1]).abs() * both.diff(dim=1)).sum(1)


def label_shift(predicted: Tensor, y: Tensor, new: Tensor, classes: int) -> Tensor:
    """`(K,)` how much more frequent each class has become, from predictions alone (BBSE).

    If classes look as before and only their shares have changed, then the shares of predictions
    are the confusion matrix times the ratios of new to old shares; its (pseudo-)inverse gives
    them. Negative ratios are set to zero.

    Args:
        predicted: `(n,)` predictions on rows with labels.
        y: `(n,)` labels of these.
        new: `(m,)` predictions on new rows.
        classes: number of classes.
    """
    if not len(y) or not len(new) or predicted.shape != y.shape:
        raise ShapeError("label_shift: needs predictions and labels of old rows, and new ones")
    joint = torch.bincount(predicted * classes + y, minlength=classes**2).double() / len(y)
    mass = torch.bincount(new, minlength=classes).double() / len(new)
    found: Tensor = (torch.linalg.pinv(joint.view(classes, classes), rtol=1e-6) @ mass).clamp(min=0)
    return found
