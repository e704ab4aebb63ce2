"""Which threats to a model does an audit look at, and which not?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from holdfast.checks.covered import covered
from holdfast.core.catalog import Entry, entries, entry_of, register, resolve
from holdfast.core.fields import Part, settings
from holdfast.core.kinds import Access, Check
from holdfast.core.papers import papers
from holdfast.core.records import Cell, Finding, Subject
from holdfast.run.cells import parts


@dataclass(frozen=True)
class ThreatClass:
    """One class of the survey's map, and how to recognise what belongs to it.

    Args:
        name: of the class.
        phase: when it strikes: `training` or `inference`.
        asset: what it is after: `integrity`, `model` or `data`.
        kinds: of the entries that can belong to it.
        access: what an attack may see; anything unless given.
        words: one of which must stand in an entry's name, its sentence, or the title of one of
            its papers; anything unless given.
    """

    name: str
    phase: str
    asset: str
    kinds: tuple[str, ...]
    access: Access | None = None
    words: tuple[str, ...] = ()

    def holds(self, entry: Entry) -> bool:
        """Whether an entry belongs to the class."""
        if entry.kind not in self.kinds:
            return False
        if self.access is not None and getattr(entry.thing, "access", None) is not self.access:
            return False
        known = papers()
        titles = [known[key].title for key in entry.cites if key in known]
        text = " ".join([entry.name, entry.says, *titles]).lower()
        return not self.words or any(word in text for word in self.words)


_ANY = ("attack", "shift", "measure", "check", "threat", "source", "aggregator", "objective")
TAXONOMY = (
    ThreatClass("gradients", "inference", "integrity", ("attack",), Access.GRADIENT),
    ThreatClass("scores", "inference", "integrity", ("attack",), Access.SCORE),
    ThreatClass("decisions", "inference", "integrity", ("attack",), Access.DECISION),
    ThreatClass("transfer", "inference", "integrity", ("attack",), None, ("transfer", "surrogate")),
    ThreatClass("universal changes", "inference", "integrity", ("threat", "attack"), None,
                ("universal", "one change for all")),
    ThreatClass("patches", "inference", "integrity", ("threat",), None, ("patch",)),
    ThreatClass("label flipping", "training", "integrity", _ANY, None, ("label flipping",)),
    ThreatClass("clean-label poisoning", "training", "integrity", _ANY, None,
                ("clean-label", "feature collision")),
    ThreatClass("backdoors", "training", "integrity", _ANY, None, ("backdoor", "trigger")),
    ThreatClass("sybils and byzantine clients", "training", "integrity", _ANY, None,
                ("byzantine", "sybil")),
    ThreatClass("extraction", "inference", "model", _ANY, None, ("model extraction",)),
    ThreatClass("membership inference", "inference", "data", _ANY, None, ("membership",)),
    ThreatClass("model inversion", "inference", "data", _ANY, None, ("inversion",)),
    ThreatClass("gradient leakage", "training", "data", _ANY, None, ("gradient leak",)),
)  # fmt: skip


@dataclass(frozen=True)
class Covered:
    """What there is for one class.

    Args:
        threat: the class.
        methods: keys of the entries that belong to it.
        checks: keys of the checks that can reach one of them.
    """

    threat: ThreatClass
    methods: tuple[str, ...]
    checks: tuple[str, ...]


def coverage(checks: tuple[Check, ...] | None = None) -> tuple[Covered, ...]:
    """The map, read off the registered entries and the source of the checks.

    Args:
        checks: those of a suite; every registered one, with its defaults, unless given.
    """
    asked = _every() if checks is None else checks
    reach: dict[str, set[str]] = {}
    for check in asked:
        own = entry_of(type(check))
        if own is not None:
            reach[own.key] = {own.key, *(e.key for e in parts(check))}
    every, found = entries(), []
    for threat in TAXONOMY:
        methods = tuple(e.key for e in every if threat.holds(e) and e.thing is not ThreatMap)
        through = tuple(sorted(c for c, seen in reach.items() if seen & set(methods)))
        found.append(Covered(threat, methods, through))
    return tuple(found)


def _every() -> tuple[Check, ...]:
    things: Any = [e.thing for e in entries("check") if e.is_settings and e.thing is not ThreatMap]
    return tuple(thing() for thing in things)


@register("check", cites="dl-security-survey", says="Which classes of threats are looked at.")
@settings
class ThreatMap(Check):
    """Lays the survey's map of threats over the catalogue: what has a method, and what a check.

    Nothing is kept by hand: entries are recognised by kind, access, sentence and title of
    their papers, and a check covers a class if its settings or its source reach one of them.
    Cost: no pass.

    Args:
        checks: those of a suite; every registered one unless given.
    """

    question: ClassVar = "Which classes of threats does an audit look at?"
    section: ClassVar = "threats"
    needs: ClassVar = ()

    checks: tuple[Part[Check], ...] = ()

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        asked: Any = tuple(resolve(c) for c in self.checks)
        found = coverage(asked or None)
        rest = [c.threat.name for c in found if not c.checks]
        rows: list[dict[str, Cell]] = [
            {
                "threat": c.threat.name, "phase": c.threat.phase, "asset": c.threat.asset,
                "checks": ", ".join(c.checks) or "none", "methods": len(c.methods),
            }
            for c in found
        ]  # fmt: skip
        yield covered(
            "threats.covered", "classes of threats", rest, len(found), rows,
            figure="threat-map", title="Threats by phase and asset", seed=subject.seed,
        )  # fmt: skip
