"""How far a linear boundary leans towards the data."""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, degrees

import torch

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.records import Reading
from holdfast.measures.model.plane import Plane, pair
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class Strength:
    """How easy a linear boundary makes it for an adversary.

    Args:
        ratio: mean distance of the class means to their mirror images behind the boundary of
            the nearest mean, over the same for this boundary; 1 is the least.
        secant: 1 / cos(angle); equal to the ratio where the boundary parts the means.
        angle: between the boundary's normal and the way between the means, in degrees.
        error: share of rows that the boundary gets wrong.
        kind: 0 hardly tilted; 1 tilted and with less error than the nearest mean; 2 tilted for
            nothing.
        flat: variance along the tilt over the median variance of the principal directions; far
            below 1 the tilt follows what the data hardly do.
    """

    ratio: Reading
    secant: Reading
    angle: Reading
    error: Reading
    kind: int
    flat: float

    def readings(self) -> tuple[Reading, ...]:
        """Ratio, secant, angle, error."""
        return self.ratio, self.secant, self.angle, self.error


def _exact(name: str, value: float, n: int, unit: str) -> Reading:
    return Reading(name=name, value=value, low=value, high=value, n=n, bound="exact", unit=unit,
                   better="lower")  # fmt: skip


@register("measure", cites="boundary-tilting")
def adversarial_strength(
    plane: Plane,
    batches: Batches,
    *,
    classes: tuple[int, int] = (0, 1),
    small: float = 10.0,
    alpha: float = 0.05,
    name: str = "tilting",
) -> Strength:
    """Strength of the adversarial examples of a linear classifier, from its angle alone.

    The mirror image of a point behind a boundary is its nearest change to the opposite answer
    with the same confidence. For a boundary between the class means its distance is that of the
    means times the cosine of the angle to the way between them, wherever the boundary lies: the
    strength is the secant of that angle, whatever the error. It has no upper end.

    Args:
        plane: the classifier; `Plane.of(model, x)` reads it off a linear model.
        batches: rows with labels of two classes.
        classes: their numbers, the plane's negative side first.
        small: degrees up to which a boundary counts as not tilted.
        alpha: the interval of the error covers with probability at least 1 - alpha.
        name: prefix of the readings.

    Raises:
        Unsupported: unless both classes have rows, and different means.
    """
    two = pair(batches, classes, name)
    ends = torch.stack([two.first_mean, two.second_mean])
    near = (two.centroid.mirror(ends) - ends).norm(dim=1).mean()
    own = (plane.mirror(ends) - ends).norm(dim=1).mean()
    cosine = min(1.0, abs(float(two.way @ plane.normal)))
    angle, tiny = degrees(acos(cosine)), 1e-300
    wrong, other = two.wrong(plane), two.wrong(two.centroid)
    n = len(wrong)
    kind = 0 if angle <= small else 1 if int(wrong.sum()) < int(other.sum()) else 2
    rest = plane.normal - (plane.normal @ two.way) * two.way
    spread = two.within
    principal = torch.linalg.svdvals(spread).square().median()
    along = (spread @ rest).square().sum() / rest.square().sum().clamp(min=tiny)
    flat = float(along / principal.clamp(min=tiny)) if angle > 1e-6 else 1.0
    return Strength(
        _exact(f"{name}.strength", float(near / own.clamp(min=1e-12)), n, "ratio"),
        _exact(f"{name}.secant", 1 / max(cosine, 1e-12), n, "ratio"),
        _exact(f"{name}.angle", angle, n, "degrees"),
        proportion(f"{name}.error", int(wrong.sum()), n, better="lower", alpha=alpha),
        kind,
        flat,
    )
