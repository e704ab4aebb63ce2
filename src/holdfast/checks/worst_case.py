"""How many rows survive the worst admissible change that attacks can find?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from torch import Tensor

from holdfast.checks.gallery import gallery
from holdfast.checks.given import model_of
from holdfast.checks.ledger import attacks, ledger, panel
from holdfast.checks.local import threats
from holdfast.checks.repair import Repaired, repaired
from holdfast.checks.rows import sample
from holdfast.checks.self_checks import SelfCheck, self_checks
from holdfast.checks.siege import Siege, besiege
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Inner, Natural, Part, settings
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Access, Attack, Check, Model, Threat
from holdfast.core.records import Finding, Severity, Subject
from holdfast.run.reading import proportion
from holdfast.run.rows import told

NUMBERS = 1 << 26  # in the changes of all rows: a quarter of a gigabyte
TIERS = {"fast": 60.0, "standard": 300.0, "thorough": 2000.0}  # passes per row that stands


@register("check", says="Accuracy under the worst change that attacks can find.")
@settings
class WorstCase(Check):
    """Accuracy under the pointwise worst of one or more attacks, with self-checks.

    A row counts as robust only if every attack failed on it; rows already broken are never
    attacked again. Where one change must serve all rows, the one that breaks most counts. The
    number is an upper bound of the true robust accuracy. Self-checks look
    for masked gradients; each failed one is printed with the number wherever it goes, and the
    model is then attacked in a repaired form too: with slopes from views of it, in the unit of its
    inputs, judged by its mean answer where it is random (`checks/repair.py`).

    Changes of weights take a number per weight and row: no more rows are attacked than fit.

    Cost: the passes of each attack on the rows that the earlier ones left standing.

    Args:
        attacks: tried in this order; the ensemble is a portfolio of its own, which also finds its
            way where slopes are missing.
        limit: at most so many rows, drawn once from the seed.
        probes: rows used by the self-checks; 0 leaves them out.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "How many rows survive the worst change?"
    section: ClassVar = "attacks"

    attacks: tuple[Part[Attack], ...] = ("attack:ensemble",)
    limit: Count = 1000
    probes: Natural = 64
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = min(len(subject.batches), self.limit) if subject.batches is not None else 0
        each = sum(map(_passes, self.attacks))
        return (n * each + 180.0 * min(n, self.probes)) * len(subject.threats)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        for threat in threats(subject):
            model, batches, x = _fitting(subject, self.limit, threat)
            dice = Dice(subject.seed, batches.index, f"worst/{threat.spec}")
            doubts = self._doubts(model, x, batches.y, threat, dice)
            plan = repaired(model, doubts, x, threat, dice.spawn("repair"))
            siege = besiege(self.attacks, model, x, batches.y, threat, dice, plan)
            told(f"attacks.worst@{threat.spec}", siege.standing, batches)
            yield self._finding(subject, batches.index, siege, threat, doubts, plan)
            yield from gallery(
                plan.judge, batches, siege.change, siege.margin, plan.threat, siege.by, siege.size,
                units=subject.about.get("units"),
            )  # fmt: skip

    def _doubts(
        self, model: Model, x: Tensor, y: Tensor, threat: Threat, dice: Dice
    ) -> list[SelfCheck]:
        """The self-checks of the first rows."""
        if not self.probes:
            return []
        first = slice(0, self.probes)
        draw = dice.part(first).spawn("self-checks")
        return self_checks(model, x[first], y[first], threat.take(first), draw)

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
            many = "self-checks cast" if len(flags) > 1 else "self-check casts"
            says += f" {len(flags)} {many} doubt on this number: the truth may be lower."
            says += f" Attacked in a repaired form: {plan.says}." if plan.says else ""
        stages = tuple(siege.stages.values())
        table = attacks(siege.lines, siege.standing, siege.size, threat, says)
        figures = [table, ledger(stages, threat, n)]
        if doubts:
            figures.append(panel(doubts, threat, len(flags)))
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


def _fitting(subject: Subject, limit: int, threat: Threat) -> tuple[Model, Batches, Tensor]:
    """The model and the rows to attack: no more than changes of this size have room for.

    Raises:
        Unsupported: if there is no model, or inputs are no single tensor.
    """
    model, one = model_of(subject), one_tensor(sample(subject, 1).x, "an attack")
    most = max(NUMBERS // max(threat.none(one).numel(), 1), 1)
    batches = sample(subject, min(limit, most))
    return model, batches, one_tensor(batches.x, "an attack")


def _passes(part: Part[Attack]) -> float:
    """Passes of an attack per row that stands to the end; a way there and back counts three."""
    attack: Any = resolve(part)
    if hasattr(attack, "tier"):
        return TIERS[attack.tier]
    steps = getattr(attack, "steps", 100) * getattr(attack, "restarts", 1)
    ways = attack.targets if getattr(attack, "climb", "") == "targeted" else 1
    return float(steps * ways * (3 if attack.access is Access.GRADIENT else 1))


def _severity(kept: int, n: int, flags: tuple[str, ...]) -> Severity:
    if flags or kept < n / 2:
        return Severity.FAILURE
    return Severity.WARNING if kept < n * 0.9 else Severity.GOOD
