"""Who is served worst? Accuracy of every class and every group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Inner, settings
from holdfast.core.kinds import Batches, Check
from holdfast.core.records import Cell, Figure, Finding, Reading, Severity, Subject
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import proportion


@register("check", says="Accuracy of every class and group; the worst one with an honest interval.")
@settings
class Slices(Check):
    """Accuracy of every class and group, worst first.

    The intervals hold together for all slices (Bonferroni: each at alpha / slices), so that
    the worst one is not merely the unluckiest. Rows without a label do not count. Cost: one forward
    per row.

    Args:
        alpha: all intervals together have coverage 1 - alpha.
        gap: a slice whose interval lies this far below the accuracy of all rows is reported.
    """

    question: ClassVar = "Who is served worst?"
    section: ClassVar = "slices"

    alpha: Inner = 0.05
    gap: Inner = 0.1

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = subject.batches
        if batches is None or subject.model is None:
            return
        known = batches.y != UNLABELLED
        if known.dim() == 1 and not bool(known.all()):
            batches = batches.take(known.nonzero().flatten())
        if not len(batches):
            raise Unsupported("no row is labelled", fix="Give labels y; -100 stands for no label.")
        right = correct(outputs(subject.model, batches.x), batches.y)
        slices = _slices(batches)
        found = [
            (label, self._reading(subject, label, right[mask], len(slices)))
            for label, mask in slices
        ]
        found.sort(key=lambda pair: (pair[1].value, pair[0]))
        label, worst = found[0]
        overall = float(right.float().mean())
        before = proportion("all", int(right.sum()), len(right), alpha=self.alpha)
        behind = [name for name, r in found if r.high < overall - self.gap]
        says = (
            f"{len(behind)} of {len(found)} slices lie clearly below the accuracy of all rows "
            f"({overall:.1%}); the worst is {label} with {worst.value:.1%}."
            if behind
            else f"No slice lies clearly below the accuracy of all rows ({overall:.1%}); the "
            f"worst is {label} with {worst.value:.1%}."
        )
        figure = self._figure(found, before, says)
        reading = Reading(
            name="clean.worst_class", value=worst.value, low=worst.low, high=worst.high,
            n=worst.n, seed=subject.seed,
        )  # fmt: skip
        yield Finding(
            severity=Severity.WARNING if behind else Severity.GOOD,
            says=says,
            readings=(reading,),
            advice="Collect or reweight rows of the worst slices." if behind else "",
            figures=(figure,),
        )

    def _figure(self, found: list[tuple[str, Reading]], before: Reading, says: str) -> Figure:
        """Every slice beside all rows."""
        rows: tuple[dict[str, Cell], ...] = tuple(
            {
                "label": name, "value": r.value, "low": round(r.low, 4), "high": round(r.high, 4),
                "n": r.n, "before": before.value, "before low": round(before.low, 4),
                "before high": round(before.high, 4), "against": "all rows",
            }
            for name, r in found[:40]
        )  # fmt: skip
        note = (
            f"accuracy; the {len(found)} intervals of slices hold together at "
            f"{1 - self.alpha:.0%} (Bonferroni), for among many slices some look bad by chance"
        )
        return Figure(
            name="slices", kind="bars", title="Accuracy by class and group", says=says, rows=rows,
            x=note, y="one slice",
        )  # fmt: skip

    def _reading(self, subject: Subject, label: str, right: Tensor, slices: int) -> Reading:
        return proportion(
            f"slices.{label}",
            int(right.sum()),
            len(right),
            alpha=self.alpha / slices,
            seed=subject.seed,
        )


def _slices(batches: Batches) -> list[tuple[str, Tensor]]:
    """Name and mask of each class and each group that has rows."""
    names = batches.classes
    found = []
    for k in batches.y.unique().tolist():
        if k >= 0:
            label = names[k] if k < len(names) else str(k)
            found.append((f"class {label}", batches.y == k))
    if batches.group is not None:
        for g in batches.group.unique().tolist():
            found.append((f"group {g}", batches.group == g))
    return found
