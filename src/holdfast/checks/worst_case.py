"""How many rows survive the worst admissible change that a portfolio of attacks can find?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from torch import Tensor

from holdfast.checks.gallery import gallery
from holdfast.checks.ledger import ledger
from holdfast.checks.repair import Repaired, repaired
from holdfast.checks.rows import sample
from holdfast.checks.self_checks import SelfCheck, self_checks
from holdfast.checks.siege import Siege, besiege
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Natural, Part, settings
from holdfast.core.kinds import Access, Attack, Check, Threat
from holdfast.core.records import Cell, Figure, Finding, Severity, Subject
from holdfast.ops.batch import take
from holdfast.run.reading import proportion


@register("check", says="Accuracy under the pointwise worst of a portfolio of attacks.")
@settings
class WorstCase(Check):
    """Accuracy under the pointwise worst of a portfolio of attacks, with self-checks.

    A row counts as robust only if every attack failed on it; rows already broken are never
    attacked again. The number is an upper bound of the true robust accuracy. Self-checks look
    for masked gradients; each failed one is printed with the number wherever it goes, and the
    model is then attacked in a repaired form too: with slopes from views of it, in the unit of its
    inputs, judged by its mean answer where it is random (`checks/repair.py`).

    Cost: the passes of each attack on the rows that the earlier ones left standing.

    Args:
        attacks: tried in this order.
        limit: at most so many rows, drawn once from the seed.
        probes: rows used by the self-checks; 0 leaves them out.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "How many rows survive the worst change?"
    section: ClassVar = "attacks"

    attacks: tuple[Part[Attack], ...] = ("attack:pgd", "attack:apgd", "attack:square")
    limit: Count = 1000
    probes: Natural = 64
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = min(len(subject.batches), self.limit) if subject.batches is not None else 0
        rows = n * sum(map(_passes, self.attacks)) + 180.0 * min(n, self.probes)
        return rows * len(subject.threats)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        if subject.model is None or not isinstance(batches.x, Tensor):
            raise Unsupported("attacks on norms need one tensor of inputs")
        for threat in subject.threats:
            dice = Dice(subject.seed, batches.index, f"worst/{threat.spec}")
            doubts = self._doubts(subject, batches, threat, dice)
            plan = repaired(subject.model, doubts, batches.x, threat, dice.spawn("repair"))
            siege = besiege(self.attacks, subject.model, batches.x, batches.y, threat, dice, plan)
            yield self._finding(subject, batches.index, siege, threat, doubts, plan)
            yield from gallery(
                plan.judge, batches, siege.change, siege.margin, plan.threat, siege.by, siege.size,
                units=subject.about.get("units"),
            )  # fmt: skip

    def _doubts(
        self, subject: Subject, batches: Batches, threat: Threat, dice: Dice
    ) -> list[SelfCheck]:
        """The self-checks of the first rows."""
        if not self.probes or subject.model is None or not isinstance(batches.x, Tensor):
            return []
        first, draw = slice(0, self.probes), dice.part(slice(0, self.probes)).spawn("self-checks")
        x, y = take(batches.x, first), batches.y[first]
        return self_checks(subject.model, x, y, threat.take(first), draw)

    def _finding(
        self,
        subject: Subject,
        index: Tensor,
        siege: Siege,
        threat: Threat,
        doubts: list[SelfCheck],
        plan: Repaired,
    ) -> Finding:
        flags = plan.flags
        kept, n = int(siege.standing.sum()), len(siege.standing)
        reading = proportion(
            f"attacks.worst@{threat.spec}",
            kept,
            n,
            bound="upper",
            threat=threat.spec,
            seed=subject.seed,
            alpha=self.alpha,
            flags=flags,
        )
        says = f"At most {kept} of {n} rows survive every change within {threat.spec}."
        if flags:
            says += f" {len(flags)} self-checks cast doubt on this number: the truth may be lower."
            says += f" Attacked in a repaired form: {plan.says}." if plan.says else ""
        stages = tuple(siege.stages.values())
        figures = [_table(siege, threat, says), ledger(stages, threat, n)]
        if doubts:
            figures.append(_panel(doubts, threat, len(flags)))
        return Finding(
            severity=_severity(kept, n, flags),
            says=says + "".join(f" {r}" for r in siege.refused),
            readings=(reading,),
            advice=""
            if kept > n * 0.9
            else f"Train the model against changes within {threat.spec} (holdfast harden).",
            rows=tuple(index[~siege.standing][:20].tolist()),
            figures=tuple(figures),
        )


def _passes(part: Part[Attack]) -> float:
    """Passes of an attack per row that stands to the end; a way there and back counts three."""
    attack: Any = resolve(part)
    steps = getattr(attack, "steps", 100) * getattr(attack, "restarts", 1)
    ways = attack.targets if getattr(attack, "climb", "") == "targeted" else 1
    return float(steps * ways * (3 if attack.access is Access.GRADIENT else 1))


def _severity(kept: int, n: int, flags: tuple[str, ...]) -> Severity:
    if flags or kept < n / 2:
        return Severity.FAILURE
    return Severity.WARNING if kept < n * 0.9 else Severity.GOOD


def _table(siege: Siege, threat: Threat, says: str) -> Figure:
    """One line per attack and one for all together."""
    n, known = len(siege.standing), siege.size[siege.size > 0]
    radius = getattr(threat, "radius", None)
    broken = n - int(siege.standing.sum())
    total: dict[str, Cell] = {
        "method": "all together (pointwise worst)",
        "tried on": n,
        "broken": broken,
        "success (share)": broken / n if n else None,
        "median radius": float(known.median()) * float(radius) if radius and len(known) else None,
        "forwards": sum(int(line["forwards"] or 0) for line in siege.lines),
        "backwards": sum(int(line["backwards"] or 0) for line in siege.lines),
    }
    return Figure(
        name=f"attacks-{threat.spec}",
        kind="table",
        title=f"Attacks, {threat.spec}",
        says=says,
        rows=(*siege.lines, total),
    )


def _panel(doubts: list[SelfCheck], threat: Threat, failed: int) -> Figure:
    """What each self-check saw."""
    return Figure(
        name=f"self-checks-{threat.spec}",
        kind="table",
        title=f"Self-checks, {threat.spec}",
        says="No self-check found a sign of masked gradients."
        if not failed
        else f"{failed} of {len(doubts)} self-checks failed: the truth may be lower.",
        rows=tuple(
            {
                "check": d.name,
                "result": "pass" if d.passed else "FAIL",
                "says": d.says,
                "repaired by": "" if d.passed else d.fix,
            }
            for d in doubts
        ),
    )
