"""Are the rows still those that it was trusted on?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import log, sqrt
from typing import ClassVar

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.kinds import Batches, Check
from holdfast.core.records import Cell, Figure, Finding, Severity, Subject
from holdfast.measures.data.drift import Drift as Tested
from holdfast.measures.data.drift import drift
from holdfast.run.forward import outputs

SHOWN = 12
IMAGE = 3  # dimensions of one image
LOOK = "Look at the features that moved; retrain or recalibrate before the numbers are believed."


@register("check", cites="drift-tests", says="Answers and features now, against trusted rows.")
@settings
class Drift(Check):
    """Whether answers and features are distributed as on trusted rows.

    Every probability that the model answers (black-box shift detection), and every feature of
    the input where there are not too many, is tested by itself (Kolmogorov and Smirnov) with a
    correction for their number, so the chance of any false alarm stays below alpha for each of
    the two. Trusted rows must not be those that the model learned from: there it is surer.

    Cost: one forward per row and trusted row.

    Args:
        limit: at most so many rows of each side.
        features: inputs with more features than this are not tested one by one.
        alpha: level of each alarm.
    """

    question: ClassVar = "Are the rows still those that it was trusted on?"
    section: ClassVar = "ood"
    needs: ClassVar = ("model", "batches", "trusted")

    limit: Count = 1000
    features: Count = 1000
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        return 2.0 * self.limit

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if subject.model is None or subject.batches is None or subject.trusted is None:
            return
        new, old = (b.take(slice(0, self.limit)) for b in (subject.batches, subject.trusted))
        now, before = (outputs(subject.model, b.x).double().softmax(-1) for b in (new, old))
        if now.dim() != 2:
            raise Unsupported(
                f"drift of answers is told for one answer per row, got outputs {tuple(now.shape)}",
                fix="Give a model that returns logits (B, K).",
            )
        good = now.isfinite().all(1), before.isfinite().all(1)
        if min(int(g.sum()) for g in good) < 2:
            raise Unsupported(
                "drift needs two rows with finite answers on each side",
                fix="Give two rows or more on each side for which the model answers with finite "
                "numbers.",
            )
        answers = self._asked(now[good[0]], before[good[1]], "drift.answers", subject.seed)
        found = [answers]
        x, known = new.x, old.x
        if isinstance(x, Tensor) and isinstance(known, Tensor) and x[0].numel() <= self.features:
            found.append(self._asked(x, known, "drift.inputs", subject.seed))
        alarm = any(f.alarm for f in found)
        says = "; ".join(_sentence(f) for f in found) + "."
        yield Finding(
            severity=Severity.WARNING if alarm else Severity.GOOD,
            says=says[0].upper() + says[1:],
            readings=tuple(replace(r, seed=subject.seed) for f in found for r in f.readings()),
            advice=LOOK if alarm else "",
            figures=tuple(
                _figure(f, names, (len(new), len(old)))
                for f, names in zip(found, (_classes(new), _features(subject, x)), strict=False)
            ),
        )

    def _asked(self, now: Tensor, before: Tensor, name: str, seed: int) -> Tested:
        return drift(now, before, alpha=self.alpha, seed=seed, name=name)


def _sentence(found: Tested) -> str:
    what = found.name.rpartition(".")[2]
    if not found.alarm:
        return f"{what} are distributed as on trusted rows (p = {found.p:.2g})"
    return f"{len(found.moved())} of {len(found.adjusted)} {what} have moved (p = {found.p:.2g})"


def _classes(batches: Batches) -> Callable[[int], str]:
    """The name of an answer."""
    names = batches.classes
    return lambda k: f"class {names[k] if k < len(names) else k}"


def _features(subject: Subject, x: object) -> Callable[[int], str]:
    """The name of a feature: a column of a table, a place in an image, or its number."""
    units = subject.about.get("units")
    columns = [str(u.get("column", "")) for u in units] if isinstance(units, list | tuple) else []
    shape = list(x.shape[1:]) if isinstance(x, Tensor) else []

    def name(j: int) -> str:
        if j < len(columns) and columns[j]:
            return columns[j]
        if len(shape) != IMAGE:
            return f"feature {j}"
        channel, place = divmod(j, shape[1] * shape[2])
        pixel = f"row {place // shape[2]}, column {place % shape[2]}"
        return f"{pixel}, channel {channel}" if shape[0] > 1 else pixel

    return name


def _figure(found: Tested, name: Callable[[int], str], rows: tuple[int, int]) -> Figure:
    """The largest distances, and the one from which on they count.

    All tests have the same number of rows, so the p-value falls with the distance: the limit of
    large samples is shown where it tells moved ones from the others, else the next one that does.
    """
    distance, count = found.found.statistic, len(found.adjusted)
    moved = found.adjusted < found.alpha
    limit = sqrt(-log(found.alpha / count / 2) / 2 * (1 / rows[0] + 1 / rows[1]))
    if bool(moved.any()):
        limit = min(limit, float(distance[moved].min()))
    if not bool(moved.all()):
        limit = max(limit, float(distance[~moved].max()))
    what = found.name.rpartition(".")[2]
    lines: tuple[dict[str, Cell], ...] = tuple(
        {
            "label": name(j), "feature": j, "value": round(float(distance[j]), 6),
            "limit": round(limit, 6), "p": float(found.adjusted[j]), "moved": bool(moved[j]),
        }
        for j in distance.argsort(descending=True, stable=True)[:SHOWN].tolist()
    )  # fmt: skip
    shown = "" if count <= SHOWN else f", the {SHOWN} largest"
    return Figure(
        name=f"drift-{what}", kind="bars", title=f"Which {what} moved", says=_told(found, what),
        rows=lines, y=what.removesuffix("s"),
        x=f"largest distance of the two distribution functions{shown}; p-values are corrected for "
        f"{count} tests (Bonferroni)",
    )  # fmt: skip


def _told(found: Tested, what: str) -> str:
    number, count = len(found.moved()), len(found.adjusted)
    return f"{number} of {count} {what} moved." if number else f"None of {count} {what} moved."
