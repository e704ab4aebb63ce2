"""Data of two pictures of confidence: reliability with intervals, and errors against coverage."""

from __future__ import annotations

from holdfast.core.records import Cell, Figure
from holdfast.measures.outputs.reliability import Reliability
from holdfast.measures.outputs.selective import RiskCoverage
from holdfast.ops.statistics import clopper_pearson

POINTS, FIRST = 40, 4  # of a curve; below a tenth of the rows an interval says nothing
KEPT = 0.8  # the coverage that the sentence tells
DIGITS = 5


def reliability_figure(found: Reliability, after: Reliability, says: str, alpha: float) -> Figure:
    """Accuracy of every bin with its exact interval, and where one temperature would move it."""
    rows: list[dict[str, Cell]] = []
    for name, one in (("as it is", found), ("after temperature", after)):
        for confidence, accuracy, count in zip(
            one.confidence, one.accuracy, one.count, strict=True
        ):
            row: dict[str, Cell] = {
                "series": name, "confidence": round(confidence, DIGITS),
                "accuracy": round(accuracy, DIGITS), "count": count,
            }  # fmt: skip
            if one is found:
                low, high = clopper_pearson(round(accuracy * count), count, alpha)
                row |= {"low": round(float(low), DIGITS), "high": round(float(high), DIGITS)}
            rows.append(row)
    return Figure(
        name="reliability", kind="reliability", title="Reliability", says=says, rows=tuple(rows),
        x="confidence (probability)", y="accuracy (share)",
    )  # fmt: skip


def coverage_figure(found: RiskCoverage, alpha: float) -> Figure | None:
    """Errors among the surest answers, beside the best order of the same errors and any order.

    The interval at each coverage is that of the share among so many answers. None without rows.
    """
    n = len(found.risk)
    if not n:
        return None
    whole = float(found.risk[-1])
    places = sorted({max(1, round(n * k / POINTS)) for k in range(FIRST, POINTS + 1)})
    right = n - round(whole * n)
    rows: list[dict[str, Cell]] = []
    for k in places:
        risk = float(found.risk[k - 1])
        low, high = clopper_pearson(round(risk * k), k, alpha)
        rows.append({
            "series": "surest answers first", "x": round(k / n, DIGITS), "y": round(risk, DIGITS),
            "low": round(float(low), DIGITS), "high": round(float(high), DIGITS),
        })  # fmt: skip
    corner = {right} if right >= places[0] else set()
    rows += [
        {"series": "errors last of all", "x": round(k / n, DIGITS),
         "y": round(max(0, k - right) / k, DIGITS)}
        for k in sorted({places[0], *corner, *(k for k in places if k > right)})
    ]  # fmt: skip
    rows += [{"series": "in any order", "x": round(k / n, DIGITS), "y": round(whole, DIGITS)}
             for k in (places[0], n)]  # fmt: skip
    kept = float(found.risk[max(1, round(KEPT * n)) - 1])
    says = (
        f"Declining the least sure {1 - KEPT:.0%} of rows leaves {kept:.1%} of answers wrong "
        f"instead of {whole:.1%}."
    )
    return Figure(
        name="risk-coverage", kind="lines", title="Risk against coverage", says=says,
        rows=tuple(rows), x="share of rows answered", y="wrong answers (share)",
    )  # fmt: skip
