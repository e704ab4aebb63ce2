"""Does it know what it does not know?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.foreign import foreign
from holdfast.checks.separation import roc_figure
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Check, Detector, Score
from holdfast.core.quiet import quiet
from holdfast.core.records import Cell, Figure, Finding, Reading, Severity, Subject
from holdfast.ops.batch import chunks
from holdfast.ops.ranking import auroc, auroc_interval, false_share
from holdfast.run.reading import proportion

GUARD = (
    "Guard the model with the detector that separates best in the table, calibrated on trusted "
    "rows."
)


@register("check", cites="ood-scores", says="Detectors against foreign inputs, far and near.")
@settings
class OOD(Check):
    """How well detectors tell the subject's rows from foreign inputs, far and near.

    Detectors are fitted on trusted rows; AUROC is the chance that a foreign input scores
    higher than a familiar one (ties count half), with DeLong's interval; FPR95 the share of
    foreign inputs that pass where 95 % of familiar ones do. The named numbers are
    those of the first detector over all foreign sets, near ones included: they are not chosen
    by looking at the result.

    Cost: per detector one forward per trusted, familiar and foreign row.

    Args:
        detectors: catalogue names; the first one gives `ood.auroc`.
        limit: at most so many familiar rows, and as many in each foreign set.
        tolerated: AUROC below which the finding is a warning.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Does it know what it does not know?"
    section: ClassVar = "ood"
    needs: ClassVar = ("model", "batches", "trusted")

    detectors: tuple[Part[Detector], ...] = (
        "detector:knn",
        "detector:energy",
        "detector:max-softmax",
        "detector:mahalanobis",
    )
    limit: Count = 300
    tolerated: Inner = 0.8
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        return 8.0 * self.limit * len(self.detectors)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if subject.model is None or subject.batches is None or subject.trusted is None:
            return
        x = one_tensor(subject.batches.x, "a set of foreign inputs")
        y, named = subject.batches.y[: self.limit], subject.about.get("data")
        known_as = str(named.get("name", "")) if isinstance(named, Mapping) else ""
        dice = Dice(subject.seed, subject.batches.index, "ood")
        sets = foreign(x[: self.limit], y, dice, known_as)
        lines: list[dict[str, Cell]] = []
        curves: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
        main: Reading | None = None
        for part in self.detectors:
            score = resolve(part).fit(subject.model, subject.trusted)
            with quiet(subject.model):
                known = _scores(score, x[: self.limit])
                strange = {name: _scores(score, z) for name, z in sets.items()}
            name = str(part).partition(":")[2] or str(part)
            for kind, values in strange.items():
                lines.append(self._line(name, kind, known, values))
                curves[kind, name] = known, values
            if main is None:
                foreigners = torch.cat(list(strange.values()))
                main = self._reading(known, foreigners, subject.seed)
                passed = false_share(-foreigners, -known)
                n = len(foreigners)
                let_in = proportion(
                    "ood.fpr95", round(passed * n), n, better="lower", seed=subject.seed,
                    alpha=self.alpha,
                )  # fmt: skip
                weakest = min(strange, key=lambda k: auroc(known, strange[k]))
                first = name
        if main is None:
            raise Unsupported("no detector was given", fix='Give detectors=("detector:energy",).')
        says = (
            f"Detector {first} ranks a foreign input above a familiar one in {main.value:.1%} of "
            f"pairs; hardest is {weakest}."
        )
        yield Finding(
            severity=Severity.GOOD if main.low >= self.tolerated else Severity.WARNING,
            says=says,
            readings=(main, let_in),
            advice="" if main.low >= self.tolerated else GUARD,
            figures=_figures(lines, curves, says),
        )  # fmt: skip

    def _line(self, name: str, kind: str, known: Tensor, strange: Tensor) -> dict[str, Cell]:
        low, high = auroc_interval(known, strange, alpha=self.alpha)
        return {
            "row": name, "column": kind, "value": auroc(known, strange), "low": round(low, 4),
            "high": round(high, 4), "n": len(known) + len(strange),
        }  # fmt: skip

    def _reading(self, known: Tensor, strange: Tensor, seed: int) -> Reading:
        low, high = auroc_interval(known, strange, alpha=self.alpha)
        return Reading(
            name="ood.auroc",
            value=auroc(known, strange),
            low=low,
            high=high,
            n=len(known) + len(strange),
            unit="probability",
            seed=seed,
        )


def _scores(score: Score, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([score(x[part]).detach().double().cpu() for part in chunks(len(x), 256)])


def _figures(
    lines: list[dict[str, Cell]], curves: dict[tuple[str, str], tuple[Tensor, Tensor]], says: str
) -> tuple[Figure, ...]:
    """The areas as a map, and the curves behind them."""
    areas = Figure(
        name="ood", kind="heat", title="AUROC by detector and foreign set", says=says,
        rows=tuple(lines), x="foreign set", y="detector",
    )  # fmt: skip
    return areas, roc_figure(curves, {k: auroc(*pair) for k, pair in curves.items()})
