"""Data of small pictures of detection: one curve per detector and foreign set."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from holdfast.core.records import Cell, Figure

# Shares of familiar inputs that are flagged; dense where a detector is used.
FLAGGED = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
DIGITS = 4


def roc(known: Tensor, strange: Tensor, at: tuple[float, ...] = FLAGGED) -> list[float]:
    """Share of `strange` that is flagged where a share of `known` is, by falling threshold.

    Scores that tie are flagged together; between two thresholds the curve is straight, which is
    what flagging a part of the tied rows at random would reach. Where the curve rises without a
    further familiar input, its top counts.

    Args:
        known: `(n,)` scores of familiar inputs.
        strange: `(m,)` scores of foreign ones, which should be larger.
        at: rising shares of familiar inputs.
    """
    levels = torch.cat([known, strange]).unique().flip(0).double()
    reached = [
        torch.cat([torch.zeros(1).double(), (len(s) - below).double() / len(s)])
        for s in (known, strange)
        for below in [torch.searchsorted(s.double().sort().values, levels)]
    ]
    x, y = reached
    f = torch.tensor(at, dtype=torch.float64)
    after = torch.searchsorted(x, f, right=True).clamp(max=len(x) - 1)
    before = (torch.searchsorted(x, f, right=True) - 1).clamp(min=0)
    step = (x[after] - x[before]).clamp(min=1e-300)
    part = torch.where(after > before, (f - x[before]) / step, 0.0).clamp(0, 1)
    found: list[float] = (y[before] + part * (y[after] - y[before])).tolist()
    return found


def _needed(y: list[float], j: int) -> bool:
    """Whether a point of a curve cannot be left out: it does not lie on a level stretch."""
    return j in (0, len(y) - 1) or not y[j - 1] == y[j] == y[j + 1]


def roc_figure(
    curves: Mapping[tuple[str, str], tuple[Tensor, Tensor]], areas: Mapping[tuple[str, str], float]
) -> Figure:
    """One panel per foreign set, one curve per detector.

    Args:
        curves: scores of familiar and of foreign inputs by set and detector.
        areas: the area under each curve.
    """
    rows: list[dict[str, Cell]] = []
    for (name, detector), (known, strange) in curves.items():
        y = [round(v, DIGITS) for v in roc(known, strange)]
        for j in filter(lambda j: _needed(y, j), range(len(y))):
            row: dict[str, Cell] = {"panel": name, "series": detector, "x": FLAGGED[j], "y": y[j]}
            rows.append(row | ({} if j else {"area": round(areas[name, detector], DIGITS)}))
    best = {name: max(a for (n, _), a in areas.items() if n == name) for name, _ in areas}
    hard = min(best, key=lambda name: best[name])
    says = f"Hardest to tell is {hard}: the best of the detectors reaches {best[hard]:.2f}."
    return Figure(
        name="ood-roc", kind="lines", title="Detection by foreign set", says=says,
        rows=tuple(rows), x="familiar inputs flagged", y="foreign inputs flagged",
    )  # fmt: skip
