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
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.kinds import Check, Model, Shift
from holdfast.core.records import Cell, Figure, Finding, Reading, Severity, Subject
from holdfast.ops.batch import rows
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import average, proportion
from holdfast.shifts.published import IMAGENET_C


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
        if not all(0 < s <= 1 for s in self.severities):
            raise ConfigError(f"Corruptions.severities must lie in (0, 1], got {self.severities}")
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
        figure_rows: list[dict[str, Cell]] = [
            {"row": kind, "column": f"{s:g}", "value": c / n} for kind, s, c in cells
        ]
        says = (
            f"Averaged over {len(table)} corruptions and {len(self.severities)} severities, "
            f"{mean.value:.1%} of rows are right (unchanged: {float(clean.double().mean()):.1%}); "
            f"worst is {name} at severity {severity:g} with {count / n:.1%}."
        )
        drop = float(clean.double().mean()) - mean.value
        return Finding(
            severity=Severity.WARNING if drop > 0.1 else Severity.GOOD,
            says=says,
            readings=(mean, low, *self._by_kind(subject, table)),
            advice=f"Train with {name} among the augmentations." if drop > 0.1 else "",
            figures=(
                Figure(
                    name="corruptions",
                    kind="heat",
                    title="Accuracy by corruption and severity",
                    says=says,
                    rows=tuple(figure_rows),
                    x="severity (share of the published scale)",
                    y="corruption",
                ),
            ),
        )

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
