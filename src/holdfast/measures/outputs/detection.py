"""Average precision of detectors, and what of it is left in other domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Count
from holdfast.core.inputs import some_rows
from holdfast.core.records import Reading
from holdfast.measures.outputs.boxes import Boxes, overlap, places

LEVELS = tuple(0.5 + 0.05 * k for k in range(10))
RECALLS = 101
SLOPE = 0.45  # of the trend of usual detectors, through the origin


def _grouped(boxes: Boxes, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Rows of each group side by side: `(G, M)` row numbers, -1 where there is none."""
    place = places(group, groups)
    most = int(place.max()) + 1 if len(place) else 0
    table = torch.full((groups, max(most, 1)), -1)
    table[group, place] = torch.arange(len(boxes))
    return table, table >= 0


def matched(found: Boxes, truth: Boxes, levels: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """For each detection and level whether it is right `(n, T)` and whether it counts `(n, T)`.

    Within an image and class, detections take in the order of their scores the true box that
    overlaps most and is still free. One that finds no free box but a crowd does not count, nor
    does one beyond the limit.

    Args:
        found: detections, sorted by falling score.
        truth: true boxes.
        levels: `(T,)` overlaps from which on a detection is right.
        limit: detections per image and class that count.
    """
    images = int(max(found.image.max(), truth.image.max() if len(truth) else 0)) + 1
    keys = torch.cat([b.label * images + b.image for b in (found, truth)]).unique(
        return_inverse=True
    )[1]
    groups = int(keys.max()) + 1
    ours, given = _grouped(found, keys[: len(found)], groups)
    theirs, there = _grouped(truth, keys[len(found) :], groups)
    crowd = there & (truth.crowds[theirs] if len(truth) else there)
    box = truth.box[theirs] if len(truth) else torch.zeros(groups, 1, 4)
    free = (there & ~crowd)[:, None].expand(-1, len(levels), -1).clone()
    right = torch.zeros(len(found), len(levels), dtype=torch.bool)
    counts = torch.zeros_like(right)
    for rank in range(min(ours.shape[1], limit)):
        rows, here = ours[:, rank], given[:, rank]
        share = overlap(found.box[rows][:, None], box, crowd)  # (G, 1, M)
        enough = (share >= levels[:, None] - 1e-10) & here[:, None, None]  # (G, T, M)
        best = torch.where(enough & free, share, -1.0).max(2)
        hit = best.values >= 0
        taken = torch.zeros_like(free).scatter(2, best.indices[..., None], hit[..., None])
        free = free & ~taken
        over = (enough & crowd[:, None]).any(2) & ~hit
        right[rows[here]] = hit[here]
        counts[rows[here]] = ~over[here]
    return right, counts


def precision_of(right: Tensor, counts: Tensor, total: int) -> Tensor:
    """`(T,)` mean precision over 101 levels of recall, for one class.

    Precision at a recall is the best at this or any larger recall.

    Args:
        right: `(n, T)` by falling score.
        counts: `(n, T)`.
        total: true boxes.
    """
    grid = torch.linspace(0, 1, RECALLS, dtype=torch.float64)
    good, bad = ((m & counts).double().cumsum(0) for m in (right, ~right))
    recall = good / total
    precision = good / (good + bad).clamp(min=1)
    envelope = precision.flip(0).cummax(0).values.flip(0) if len(precision) else precision
    padded = torch.cat([envelope, torch.zeros(1, right.shape[1], dtype=torch.float64)])
    place = torch.searchsorted(recall.T.contiguous(), (grid - 1e-12).repeat(right.shape[1], 1))
    return padded.T.gather(1, place).mean(1)


@dataclass(frozen=True, eq=False)
class Detection:
    """Average precision of each class at each level.

    Args:
        precision: `(K, T)`, NaN for classes that do not occur.
        levels: `(T,)` overlaps.
        count: true boxes that count.
        name: prefix of the readings.
    """

    precision: Tensor
    levels: tuple[float, ...]
    count: int
    name: str

    def at(self, level: float) -> float:
        """Mean over the classes at one level."""
        column = [abs(v - level) < 1e-9 for v in self.levels].index(True)
        return float(self.precision[:, column].nanmean())

    @property
    def mean(self) -> float:
        """Mean over levels and classes that occur."""
        return float(self.precision.nanmean())

    def readings(self) -> tuple[Reading, ...]:
        """AP over all levels, and at 0.5 and 0.75."""
        values = {"ap": self.mean, "ap50": self.at(0.5), "ap75": self.at(0.75)}
        return tuple(
            Reading(name=f"{self.name}.{k}", value=v, low=v, high=v, n=self.count, bound="exact")
            for k, v in values.items()
        )


@register("measure", cites="coco-o")
def detection(
    detections: Boxes, truth: Boxes, *, limit: Count = 100, name: str = "detection"
) -> Detection:
    """Average precision over overlaps from 0.5 to 0.95, as for COCO.

    Classes without a true box are left out of the mean, so that in another domain other classes
    may count. A second detection of the same object is a wrong one.

    Args:
        detections: with scores, in any order; equal scores stay in theirs.
        truth: true boxes.
        limit: detections per image and class that count, those of the largest scores.
        name: prefix of the readings.

    Raises:
        Unsupported: without true boxes.
        ShapeError: for detections without scores.
    """
    if not len(truth) or bool(truth.crowds.all()):
        raise Unsupported(f"{name} needs true boxes, no crowds", fix="Give annotated pictures.")
    if detections.score is None:
        raise ShapeError(f"{name}: detections have no scores", fix="Give score=, one per box.")
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    order = detections.score.argsort(descending=True, stable=True)
    found = detections.take(order)
    real = truth.label[~truth.crowds]
    classes = int(truth.label.max()) + 1
    totals = torch.bincount(real, minlength=classes)
    table = torch.full((classes, len(levels)), torch.nan, dtype=torch.float64)
    right = counts = torch.zeros(0, len(levels), dtype=torch.bool)
    if len(found):
        right, counts = matched(found, truth, levels, limit)
    for k in totals.nonzero().flatten().tolist():
        own = found.label == k
        table[k] = precision_of(right[own], counts[own], int(totals[k]))
    return Detection(table, LEVELS, int(totals.sum()), name)


@dataclass(frozen=True)
class DomainReport:
    """What is left of a detector's precision in other domains.

    Args:
        mean: over the domains.
        drop: share of the usual precision that is lost.
        effective: mean less the slope times the usual precision: above the trend of others.
    """

    mean: float
    drop: float
    effective: float


def domain_report(usual: float, domains: Mapping[str, float], slope: float = SLOPE) -> DomainReport:
    """Mean precision over domains, relative drop, and effective robustness.

    Args:
        usual: precision where the detector was trained.
        domains: precision by domain; corruptions at several levels may stand here as well, and the
            mean is then that of corrupted sets.
        slope: of the trend of usual detectors; refit it for another population.

    Raises:
        ShapeError: without a domain.
    """
    some_rows(domains, "domain_report", what="domain")
    mean = sum(domains.values()) / len(domains)
    return DomainReport(mean, 1 - mean / usual if usual else float("nan"), mean - slope * usual)


def fitted_slope(usual: Tensor, shifted: Tensor) -> float:
    """Slope of the trend through the origin over a population of detectors, by least squares."""
    a, b = usual.double(), shifted.double()
    return float((a * b).sum() / (a * a).sum())
