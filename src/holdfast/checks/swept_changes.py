"""Corruptions and attacks on all rows of a data set that never is in memory; and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.checks.swept import Swept
from holdfast.core.catalog import resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part, settings
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Attack, Check, Threat
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run.forward import correct, outputs
from holdfast.run.plan import name_of
from holdfast.run.reading import proportion
from holdfast.run.search import search
from holdfast.shifts.published import IMAGENET_C


@settings
class SweptCorruptions(Swept):
    """Accuracy under natural corruptions, all kinds and severities alike.

    The interval of the mean is that of a mean over rows (a normal one: rows are many), so that
    the rows' shared difficulty is not counted as many trials. Cost: one forward per row, kind and
    severity.

    Args:
        kinds: names of corruptions; empty for the fifteen of ImageNet-C.
        severities: in (0, 1]; published level k is k / 5.
    """

    question: ClassVar = "What do weather, sensors and compression cost?"
    section: ClassVar = "corruptions"

    kinds: tuple[str, ...] = ()
    severities: tuple[float, ...] = (0.2, 0.6, 1.0)

    def cost(self, subject: Subject) -> float:
        return float(len(self.data()) * len(self._each()))

    def _each(self) -> list[tuple[str, float]]:
        return [(k, s) for k in self.kinds or sorted(IMAGENET_C) for s in self.severities]

    def asks(self) -> list[Any]:
        return ["corruptions", self._each()]

    def columns(self, subject: Subject, batches: Batches) -> Mapping[str, Tensor]:
        found = {"row": batches.index}
        for place, (kind, severity) in enumerate(self._each()):
            shift: Any = resolve(f"shift:{kind}")
            parts: list[Tensor] = []
            dice, model = Dice(subject.seed, batches.index, kind), self.model(subject)
            if getattr(shift, "whole", False):
                raise Unsupported(f"shift:{kind} wants all rows", fix="Audit without --stream.")
            for k, batch in enumerate(batches):
                own = slice(k * batches.size, (k + 1) * batches.size)
                changed = shift(batch, severity, dice.part(own))
                parts.append(correct(outputs(model, changed.x), batch.y))
            found[f"right{place}"] = torch.cat(parts)
        return found

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        rows, each = self.made(subject), self._each()
        names = [f"right{k}" for k in range(len(each))]
        row = " + ".join(f"cast({name} as bigint)" for name in names)
        counts = ", ".join(f"countif({name})" for name in names)
        ((n, total, squares, *right),) = rows.ask(
            f"count(*), sum({row}), sum(({row}) * ({row})), {counts}"
        )
        many = len(each)
        mean = int(total) / n / many
        spread = max(int(squares) / n / many**2 - mean**2, 0.0)
        half = _normal(self.alpha) * sqrt(spread / n)
        reading = Reading(
            name="corruptions.mean", value=mean, low=max(0.0, mean - half),
            high=min(1.0, mean + half), n=n, seed=subject.seed,
        )  # fmt: skip
        k = min(range(many), key=lambda k: (right[k], each[k]))
        worst = proportion(
            "corruptions.worst", right[k], n, alpha=self.alpha / many, seed=subject.seed
        )
        yield Finding(
            severity=Severity.INFO,
            says=f"Averaged over {many} corruptions of {n:,} rows, {mean:.1%} are right; worst is "
            f"{each[k][0]} at severity {each[k][1]:g} with {worst.value:.1%}.",
            readings=(reading, worst),
        )


@settings
class SweptWorst(Swept):
    """Accuracy under the pointwise worst of a few attacks: an upper bound of the robust accuracy.

    Each attack sees the rows that the earlier ones left standing. There are no self-checks: they
    need no million rows; an audit of a sample makes them. Cost: the passes of the attacks.

    Args:
        attacks: tried in this order.
    """

    question: ClassVar = "How many rows survive the worst change?"
    section: ClassVar = "attacks"
    needs: ClassVar[tuple[str, ...]] = ("model", "threats")

    attacks: tuple[Part[Attack], ...] = ("attack:pgd",)

    def cost(self, subject: Subject) -> float:
        steps = sum(getattr(resolve(a), "steps", 100) for a in self.attacks)
        return 3.0 * float(steps) * len(self.data()) * len(subject.threats)

    def asks(self) -> list[Any]:
        return ["worst", [repr(resolve(a)) for a in self.attacks]]

    def columns(self, subject: Subject, batches: Batches) -> Mapping[str, Tensor]:
        found = {"row": batches.index}
        for place, threat in enumerate(subject.threats):
            found[f"stands{place}"] = self._stands(subject, batches, threat)
        return found

    def _stands(self, subject: Subject, batches: Batches, threat: Threat) -> Tensor:
        x, model = one_tensor(batches.x, "a change for each row"), self.model(subject)
        if getattr(threat, "coupled", False):
            raise Unsupported(f"{threat.spec} wants all rows", fix="Audit without --stream.")
        if bool(((x < threat.low) | (x > threat.high)).any()):
            raise Unsupported(
                f"{threat.spec} holds for inputs in [{threat.low:g}, {threat.high:g}], and rows "
                "lie outside", fix="Scale the columns, and put the scale into the model.",
            )  # fmt: skip
        dice = Dice(subject.seed, batches.index, f"worst/{threat.spec}")
        stands = torch.ones(len(x), dtype=torch.bool)
        for attack in self.attacks:
            left = stands.nonzero().flatten()
            goal, own = Untargeted(batches.y[left]), threat.take(left)
            found = search(resolve(attack), model, x[left], goal, own, dice=dice.take(left))
            stands[left] = found.margin.cpu() < 0
        return stands

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        rows = self.made(subject)
        for place, threat in enumerate(subject.threats):
            ((n, kept),) = rows.ask(f"count(*), countif(stands{place})")
            name = f"attacks.worst@{threat.spec}"
            reading = proportion(
                name, kept, n, bound="upper", threat=threat.spec, seed=subject.seed,
                alpha=self.alpha,
            )  # fmt: skip
            yield Finding(
                severity=Severity.WARNING if reading.value < 0.5 else Severity.INFO,
                says=f"{kept:,} of {n:,} rows ({reading.value:.1%}) survive every attack within "
                f"{threat.spec}.",
                readings=(reading,),
            )


@settings
class Held(Check):
    """A question that cannot be asked part by part: it stands under "Not tested", with the reason.

    Args:
        held: the check that asks it where rows are in memory.
    """

    question: ClassVar = "?"
    section: ClassVar = "clean"
    needs: ClassVar[tuple[str, ...]] = ("model",)

    held: Part[Check] = "check:ood"

    def __reduce__(self) -> tuple[Any, ...]:
        return holding, (resolve(self.held),)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        raise Unsupported(
            "it needs its rows in memory all at once", fix="Ask a sample: --limit 10000 without "
            "--stream.",
        )  # fmt: skip


def holding(check: Check) -> Held:
    """A check that stands in for another one, under its name and question."""
    about = {"question": check.question, "section": check.section, "__module__": __name__}
    kind: Any = type(name_of(check).partition(":")[2], (Held,), about)
    made: Held = kind(held=check)
    return made


def _normal(alpha: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - alpha / 2)
