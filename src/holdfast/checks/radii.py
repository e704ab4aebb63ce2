"""Charts of certified radii: how many rows have which, and how many hold beyond each."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.records import Cell, Figure
from holdfast.run.reading import proportion

_BINS, _POINTS = 16, 32
_UNIT = "certified radius (L2, inputs in [0, 1])"


def histogram(radius: Tensor, says: str) -> Figure:
    """How many rows hold how far; those that do not hold at all are told in words.

    Args:
        radius: `(B,)`, 0 where nothing is proved.
        says: the caption.
    """
    top = float(radius.max())
    kept = radius[radius > 0].double()
    edges = torch.linspace(0, top, _BINS + 1, dtype=torch.float64)
    place = (torch.bucketize(kept, edges, right=False) - 1).clamp(0, _BINS - 1)
    counts = torch.bincount(place, minlength=_BINS).tolist()
    rows = [
        {"left": a, "right": b, "count": c}
        for a, b, c in zip(edges[:-1].tolist(), edges[1:].tolist(), counts, strict=True)
    ]
    return Figure(
        name="smoothed-radii", kind="histogram", title="Radii proved behind noise", says=says,
        rows=tuple(rows), x=_UNIT, y="rows",
    )  # fmt: skip


def curve(radius: Tensor, alpha: float) -> Figure:
    """The share of rows that hold within each radius, with its interval.

    Args:
        radius: `(B,)`, 0 where nothing is proved.
        alpha: intervals have coverage 1 - alpha.
    """
    rows: list[dict[str, Cell]] = []
    for reach in torch.linspace(0, float(radius.max()), _POINTS).tolist():
        held = (radius >= reach) & (radius > 0)
        r = proportion("point", int(held.sum()), len(radius), alpha=alpha)
        rows.append({"x": reach, "y": r.value, "low": r.low, "high": r.high, "series": "certified"})
    return Figure(
        name="smoothed", kind="lines", title="Proved behind noise",
        says="Rows that provably keep their class within each radius: a lower bound, with its "
        f"{1 - alpha:.0%} interval over rows.",
        rows=tuple(rows), x="radius (L2, inputs in [0, 1])", y="rows proved (share)",
    )  # fmt: skip


def largest(certifier: object, sigma: float) -> str:
    """The largest radius that a fixed number of votes can prove, in words; empty if unknown.

    All `samples` votes for one class give a lower bound `alpha ** (1 / samples)` of its share.
    """
    samples, alpha = getattr(certifier, "samples", None), getattr(certifier, "alpha", None)
    if not isinstance(samples, int) or not isinstance(alpha, float):
        return ""
    share = torch.tensor(alpha ** (1 / samples), dtype=torch.float64)
    most = sigma * float(torch.special.ndtri(share))
    return f" With {samples:,} noisy copies a row, no radius beyond {most:.3g} can be."
