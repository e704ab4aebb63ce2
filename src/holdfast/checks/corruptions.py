"""What do weather, sensors and compression cost?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.rows import sample
from holdfast.core.catalog import entry_of, register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.kinds import Check, Model, Shift
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Figure, Finding, Reading, Severity, Subject
from holdfast.ops.batch import rows
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import average, proportion
from holdfast.run.rows import told
from holdfast.shifts.published import IMAGENET_C

FAMILIES = ("Noise", "Blur", "Weather", "Digital", "Others")
STARTS = (0, 3, 7, 11)  # where the first four begin among the fifteen of ImageNet-C


@register("check", cites="imagenet-c", says="Accuracy under natural corruptions by severity.")
@settings
class Corruptions(Check):
    """Accuracy under natural corruptions of rising severity, without retraining.

    The mean counts every kind and severity alike; its interval resamples rows, so that the
    rows' shared difficulty is not counted as many independent trials.

    Cost: one forward per row, kind and severity.

    Args:
        shifts: catalogue names of the corruptions; empty for the fifteen of ImageNet-C.
        severities: in (0, 1]; published level k is k / 5.
        limit: at most so many rows, drawn once from the seed.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "What do weather, sensors and compression cost?"
    section: ClassVar = "corruptions"

    shifts: tuple[Part[Shift], ...] = ()
    severities: tuple[float, ...] = (0.2, 0.6, 1.0)
    limit: Count = 1000
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return 15.0 * len(self.severities) * min(n, self.limit)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        if subject.model is None:
            return
        inside("(0, 1]", "Corruptions", severities=self.severities)
        clean = correct(outputs(subject.model, batches.x), batches.y)
        table: dict[str, list[Tensor]] = {}
        refusal = ""
        for name, shift in self._chosen():
            try:
                table[name] = [
                    _right(
                        subject.model, batches, shift, s, Dice(subject.seed, batches.index, name)
                    )
                    for s in self.severities
                ]
            except Unsupported as refused:
                refusal = refused.says
        if not table:
            raise Unsupported(
                f"no corruption applies to these inputs ({refusal})",
                fix="Corruptions change images (B, C, H, W); name others with a suite of your own.",
            )
        kinds = {name: torch.stack(levels).double().mean(0) for name, levels in table.items()}
        for name, right in (kinds | {"mean": torch.stack([*kinds.values()]).mean(0)}).items():
            told(f"corruptions.{name}", right, batches)
        yield self._finding(subject, table, clean)

    def _chosen(self) -> list[tuple[str, Shift]]:
        if not self.shifts:
            return [(name, resolve(f"shift:{name}")) for name in sorted(IMAGENET_C)]
        return [(_name(part), resolve(part)) for part in self.shifts]

    def _finding(self, subject: Subject, table: dict[str, list[Tensor]], clean: Tensor) -> Finding:
        n = len(clean)
        every = torch.stack([r for kinds in table.values() for r in kinds]).double()
        mean = average("corruptions.mean", every.mean(0), seed=subject.seed, alpha=self.alpha)
        cells = [
            (name, s, int(right.sum()))
            for name, kinds in table.items()
            for s, right in zip(self.severities, kinds, strict=True)
        ]
        name, severity, count = min(cells, key=lambda c: (c[2], c[0]))
        share = self.alpha / len(cells)  # the worst of many: all intervals hold together
        low = proportion("corruptions.worst", count, n, alpha=share, seed=subject.seed)
        by_kind = self._by_kind(subject, table)
        says = (
            f"Averaged over {len(table)} corruptions and {len(self.severities)} severities, "
            f"{mean.value:.1%} of rows are right (unchanged: {float(clean.double().mean()):.1%}); "
            f"worst is {name} at severity {severity:g} with {count / n:.1%}."
        )
        drop = float(clean.double().mean()) - mean.value
        return Finding(
            severity=Severity.WARNING if drop > 0.1 else Severity.GOOD,
            says=says,
            readings=(mean, low, *by_kind),
            advice=f"Train with {name} among the augmentations." if drop > 0.1 else "",
            figures=(self._heat(cells, n, says), self._drops(by_kind, clean, subject.seed)),
        )

    def _heat(self, cells: list[tuple[str, float, int]], n: int, says: str) -> Figure:
        """Accuracy of every kind and severity, each with its own interval, in families."""
        found: list[dict[str, Cell]] = []
        for kind, s, count in sorted(cells, key=lambda c: FAMILIES.index(_family(c[0]))):
            r = proportion(kind, count, n, alpha=self.alpha)
            found.append({
                "row": kind, "column": f"{s:g}", "value": r.value, "low": round(r.low, 4),
                "high": round(r.high, 4), "n": n, "group": _family(kind),
            })  # fmt: skip
        return Figure(
            name="corruptions", kind="heat", title="Accuracy by corruption and severity",
            says=says, rows=tuple(found), x="severity (share of the published scale)",
            y="corruption",
        )  # fmt: skip

    def _drops(self, by_kind: list[Reading], clean: Tensor, seed: int) -> Figure:
        """Accuracy with and without each kind, the largest drop first."""
        before = proportion("clean", int(clean.sum()), len(clean), alpha=self.alpha, seed=seed)
        order = sorted(by_kind, key=lambda r: (r.value, r.name))
        surely = [r for r in order if r.high < before.low]
        says = (
            f"{len(surely)} of {len(order)} corruptions surely cost accuracy; most: "
            f"{_short(order[0])}, {before.value - order[0].value:.1%} of rows."
            if surely
            else f"None of {len(order)} corruptions surely costs accuracy in the mean over levels."
        )
        rows: list[dict[str, Cell]] = [
            {
                "label": _short(r), "value": r.value, "low": round(r.low, 4),
                "high": round(r.high, 4), "n": r.n, "before": before.value,
                "before low": round(before.low, 4), "before high": round(before.high, 4),
                "against": "unchanged inputs",
            }
            for r in order
        ]  # fmt: skip
        return Figure(
            name="corruption-drops", kind="bars", title="What each corruption costs", says=says,
            rows=tuple(rows), x="accuracy, mean over severities; each interval holds alone",
            y="corrupted inputs",
        )  # fmt: skip

    def _by_kind(self, subject: Subject, table: dict[str, list[Tensor]]) -> list[Reading]:
        return [
            average(
                f"corruptions.{name}",
                torch.stack(kinds).double().mean(0),
                seed=subject.seed,
                alpha=self.alpha,
            )
            for name, kinds in table.items()
        ]


def _family(kind: str) -> str:
    """The family that ImageNet-C puts a corruption in."""
    place = IMAGENET_C.index(kind) if kind in IMAGENET_C else -1
    return FAMILIES[sum(place >= start for start in STARTS) - 1 if place >= 0 else -1]


def _short(reading: Reading) -> str:
    """The corruption that a reading is about."""
    return reading.name.partition(".")[2]


def _name(part: object) -> str:
    if isinstance(part, str):
        return part.partition(":")[2]
    inner = part.func if isinstance(part, partial) else part
    entry = entry_of(inner)
    return entry.name if entry else getattr(inner, "__name__", repr(inner))


def _right(model: Model, batches: Batches, shift: Shift, severity: float, dice: Dice) -> Tensor:
    """`(B,)` bool: rows that are right under a shift; chunked, with draws that belong to rows."""
    parts, start = [], 0
    for batch in batches:
        stop = start + rows(batch.x)
        changed = shift(batch, severity, dice.part(slice(start, stop)))
        parts.append(correct(outputs(model, changed.x), batch.y))
        start = stop
    return torch.cat(parts)
