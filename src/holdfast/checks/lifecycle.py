"""What of a model's whole life is looked at, and which numbers a newer one must not lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from holdfast.checks.covered import covered
from holdfast.core.catalog import entries, entry_of, register, resolve
from holdfast.core.fields import Part, settings
from holdfast.core.kinds import Check
from holdfast.core.records import (
    Cell,
    Finding,
    Outcome,
    Report,
    Severity,
    Subject,
)

Stage = Literal["data", "model", "pipeline", "monitoring"]
Status = Literal["pass", "fail", "not measured"]


@dataclass(frozen=True)
class Item:
    """One thing to be looked at in the life of a deployed model.

    Args:
        stage: of its life.
        name: what is asked.
        notion: of robustness: adversarial, shift, fairness, uncertainty, privacy or process.
        checks: names of checks, any of which answers it.
        fact: what the manifest of a release must hold instead, where no check can tell.
    """

    stage: Stage
    name: str
    notion: str
    checks: tuple[str, ...] = ()
    fact: str = ""


CHECKLIST = (
    Item("data", "balance of classes and subgroups", "fairness", ("slices",)),
    Item("data", "poisoning", "adversarial", ("poisoning",)),
    Item("data", "version of the data", "process", fact="data"),
    Item("model", "clean accuracy", "process", ("clean",)),
    Item("model", "worst group", "fairness", ("slices",)),
    Item("model", "accuracy under attack", "adversarial", ("worst-case", "envelope")),
    Item("model", "certified accuracy", "adversarial", ("certificates", "smoothed")),
    Item("model", "corruptions", "shift", ("corruptions",)),
    Item("model", "foreign inputs", "shift", ("ood",)),
    Item("model", "calibration", "uncertainty", ("calibration",)),
    Item("model", "stability of explanations", "uncertainty", ("explanation-stability",)),
    Item("model", "membership", "privacy", ("membership",)),
    Item("model", "extraction", "privacy", ("extraction",)),
    Item("model", "variance over seeds", "process", fact="runs"),
    Item("pipeline", "configuration, seed and environment", "process", fact="environment"),
    Item("pipeline", "parent in the registry", "process", fact="parent"),
    Item("pipeline", "what to go back to", "process", fact="rollback"),
    Item("monitoring", "drift of inputs and answers", "shift", ("drift",)),
    Item("monitoring", "share of inputs declined", "uncertainty", fact="guard"),
    Item("monitoring", "latency", "process", fact="latency"),
)


@dataclass(frozen=True)
class Answer:
    """What a report says to an item.

    Args:
        item: what is asked.
        status: `fail` if a check that answers it found a failure, `pass` if one gave numbers and
            none failed; a check that was skipped or crashed measured nothing.
        evidence: names of the readings behind it, or the fact.
    """

    item: Item
    status: Status
    evidence: tuple[str, ...] = ()


def answered(report: Report, manifest: Mapping[str, Any] | None = None) -> tuple[Answer, ...]:
    """The checklist of a report: pass, fail or not measured, and where the evidence stands.

    Args:
        report: of an audit.
        manifest: plain facts of the release by the names of `Item.fact`; empty ones do not count.
    """
    facts = manifest or {}
    by_name: dict[str, list[Outcome]] = {}
    for outcome in report.outcomes:
        by_name.setdefault(outcome.check.partition(":")[2], []).append(outcome)
    found = []
    for item in CHECKLIST:
        if item.fact:
            known = facts.get(item.fact) not in (None, "", (), [])
            status: Status = "pass" if known else "not measured"
            found.append(Answer(item, status, (f"manifest.{item.fact}",) if known else ()))
            continue
        mine = [o for name in item.checks for o in by_name.get(name, ())]
        found.append(Answer(item, _status(mine), tuple(r.name for o in mine for r in o.readings)))
    return tuple(found)


def _status(outcomes: list[Outcome]) -> Status:
    told = [o for o in outcomes if o.findings and not o.skipped and not o.error]
    if any(f.severity == Severity.FAILURE for o in told for f in o.findings):
        return "fail"
    return "pass" if any(o.readings for o in told) else "not measured"


def lost(before: Report, after: Report, tolerance: float) -> tuple[str, ...]:
    """Names of the numbers that a newer model is worse in by more than a tolerance.

    A number that only the older report has is lost too: what is no longer measured is not known
    to be kept. The gate of a pipeline lets a model through iff this is empty.

    Args:
        before: of the model in use.
        after: of the one that is to replace it.
        tolerance: largest loss, in the unit of each number.
    """
    new = {r.name: r for r in after.readings}
    worse = []
    for old in before.readings:
        if old.better == "neither" or old.value != old.value:
            continue
        now = new.get(old.name)
        sign = 1.0 if old.better == "higher" else -1.0
        if now is None or not sign * (old.value - now.value) <= tolerance:
            worse.append(old.name)
    return tuple(worse)


@register("check", cites="mlops-robustness-survey", says="What of a model's life is looked at.")
@settings
class Lifecycle(Check):
    """Lays the survey's checklist over the life of a model on the checks that are asked.

    An item is covered if one of its checks is asked; what only the manifest of a release can say
    (versions, seeds, what to go back to) is counted apart. `answered` gives the status of every
    item from a report, and `lost` the gate against the model before. Cost: no pass.

    Unlike the survey: its map of tools is not repeated; the items are those of its themes that a
    library can measure or a manifest can state.

    Args:
        checks: those of a suite; every registered one unless given.
    """

    question: ClassVar = "Which stages of a model's life does an audit look at?"
    section: ClassVar = "threats"
    needs: ClassVar = ()

    checks: tuple[Part[Check], ...] = ()

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        asked = {e.name for e in entries("check")}
        if self.checks:
            own = [entry_of(type(resolve(c))) for c in self.checks]
            asked = {e.name for e in own if e is not None}
        measured = [i for i in CHECKLIST if i.checks]
        rest = [i.name for i in measured if not asked & set(i.checks)]
        rows: list[dict[str, Cell]] = [
            {
                "stage": i.stage, "item": i.name, "notion": i.notion,
                "answer": ", ".join(c for c in i.checks if c in asked) or (
                    f"manifest: {i.fact}" if i.fact else "none"
                ),
            }
            for i in CHECKLIST
        ]  # fmt: skip
        yield covered(
            "lifecycle.covered", "items of a model's life", rest, len(measured), rows,
            figure="lifecycle", title="The life of a model", seed=subject.seed,
        )  # fmt: skip
