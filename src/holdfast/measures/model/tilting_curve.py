"""A boundary that is tilted step by step: what it costs, and what an adversary gains."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin, sqrt

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading
from holdfast.measures.model.plane import Plane, pair
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class TiltingCurve:
    """Error and strength of a boundary that is tilted step by step.

    Args:
        angles: in degrees.
        strength: secant of each angle.
        error: share of rows wrong at each angle.
        expected: the error rate if both classes were Gaussian with their common variance.
        start: error without tilt, with its interval.
        best: least error of all angles, with its interval.
    """

    angles: tuple[float, ...]
    strength: tuple[float, ...]
    error: tuple[float, ...]
    expected: tuple[float, ...]
    start: Reading
    best: Reading

    def readings(self) -> tuple[Reading, ...]:
        """Error without tilt and the least one; below the first, a tilt pays (type 1)."""
        return self.start, self.best

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `lines`."""
        pairs = (("strength", self.strength), ("error", self.error), ("expected", self.expected))
        return tuple(
            {"x": a, "y": v, "series": word}
            for word, values in pairs
            for a, v in zip(self.angles, values, strict=True)
        )


def gaussian_error(
    distance: float, height: float, along: float, both: float, angle: float
) -> float:
    """Error rate of a boundary through the middle of two Gaussians, tilted by an angle.

    Args:
        distance: between the means.
        height: variance along the way between the means.
        along: variance along the direction of the tilt.
        both: their covariance.
        angle: in degrees, below 90.
    """
    from scipy.stats import norm

    a = radians(angle)
    spread = cos(a) ** 2 * height + sin(a) ** 2 * along + sin(2 * a) * both
    if spread <= 0:
        return 0.0
    return float(norm.cdf(-distance / 2 * cos(a) / sqrt(spread)))


@register("measure", cites="boundary-tilting")
def tilting_curve(
    batches: Batches,
    *,
    direction: Tensor | None = None,
    angles: tuple[float, ...] = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 85.0),
    classes: tuple[int, int] = (0, 1),
    alpha: float = 0.05,
    name: str = "tilting-curve",
) -> TiltingCurve:
    """Tilts the boundary of the nearest class mean and watches error and strength.

    Along a direction in which the data do not vary the error stays the same on every row while
    the strength grows without end: strong adversarial examples cost nothing. Every boundary runs
    through the middle between the means.

    Args:
        batches: rows with labels of two classes.
        direction: `(d,)` to tilt towards, its part along the means removed; the direction of
            least variance across the means unless given.
        angles: in degrees, from 0 to below 90.
        classes: numbers of the two classes.
        alpha: intervals cover with probability at least 1 - alpha.
        name: prefix of the readings.

    Raises:
        ConfigError: for angles outside [0, 90) or a direction along the means.
        Unsupported: unless both classes have rows, and different means.
    """
    inside("[0, 90)", name, angles=angles)
    two = pair(batches, classes, name)
    spread, way = two.within, two.way
    z = _least(spread, way) if direction is None else direction.detach().double().cpu().flatten()
    z = z - (z @ way) * way
    if float(z.norm()) < 1e-9:
        raise ConfigError(
            f"{name}: the direction must not lie along the class means",
            fix="Give a direction across the line between both class means, or none to draw one.",
        )
    z = z / z.norm()
    a, b = spread @ way, spread @ z
    parts = float(a.square().mean()), float(b.square().mean()), float((a * b).mean())
    middle = (two.first_mean + two.second_mean) / 2
    wrong = []
    for angle in angles:
        normal = cos(radians(angle)) * way + sin(radians(angle)) * z
        wrong.append(int(two.wrong(Plane(normal, -float(normal @ middle))).sum()))
    n, straight = len(two.x), int(two.wrong(two.centroid).sum())
    return TiltingCurve(
        tuple(angles),
        tuple(1 / cos(radians(angle)) for angle in angles),
        tuple(w / n for w in wrong),
        tuple(gaussian_error(two.distance, *parts, angle) for angle in angles),
        proportion(f"{name}.error.start", straight, n, better="lower", alpha=alpha),
        proportion(f"{name}.error.best", min(wrong), n, better="lower", alpha=alpha),
    )


def _least(spread: Tensor, way: Tensor) -> Tensor:
    """The unit direction of least variance among those across `way`."""
    across = spread - (spread @ way)[:, None] * way
    values, vectors = torch.linalg.eigh(across.T @ across + torch.outer(way, way) * 1e12)
    found: Tensor = vectors[:, int(values.argmin())]
    return found
