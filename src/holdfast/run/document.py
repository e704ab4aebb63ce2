"""The document of an audit: `results.json`, which holds no time, no path and no host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from holdfast.core.catalog import Entry, entry_of, resolve, table
from holdfast.core.digest import digest
from holdfast.core.kinds import Check
from holdfast.core.papers import papers
from holdfast.core.quiet import modules_of
from holdfast.core.records import Finding, Outcome, Report, Severity, Subject
from holdfast.ops.batch import take
from holdfast.run.cells import parts
from holdfast.run.verdict import Verdict
from holdfast.run.writing import plain

SCHEMA = 1


def _shape(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {k: list(v.shape[1:]) for k, v in x.items()}
    return list(x.shape[1:]) if hasattr(x, "shape") else "text"


def subject_facts(subject: Subject) -> dict[str, Any]:
    """What identifies model and data: digests, counts, shapes, classes, threats."""
    about = {k: v for k, v in subject.about.items()}
    model, data = (dict(about.pop(k, None) or {}) for k in ("model", "data"))
    inner = modules_of(subject.model)
    model = {
        "digest": digest(subject.model),
        "parameters": sum(p.numel() for m in inner for p in m.parameters()),
        "kind": type(inner[0]).__name__ if inner else type(subject.model).__name__,
    } | model
    facts: dict[str, Any] = {"name": about.pop("name", "model"), "model": model}
    if (rows := subject.batches) is not None:
        facts["data"] = {
            "name": about.pop("data_name", "data"),
            "digest": digest(rows),
            "n": len(rows),
            "shape": _shape(take(rows.x, slice(0, 1))),
            "classes": list(rows.classes),
            "n_reference": len(subject.trusted) if subject.trusted is not None else 0,
        } | data
    facts["threats"] = [t.spec for t in subject.threats]
    facts["sampled"] = bool(about.pop("sampled", False))
    return plain(about | facts)  # type: ignore[no-any-return]


def _settings(entry: Entry, check: Check | None) -> Any:
    thing = check if check is not None else resolve(entry.key)
    if not is_dataclass(thing) or isinstance(thing, type):
        return {}
    own = table(thing)
    if isinstance(own, str):  # a preset prints as its name; its settings are those of its class
        own = {f.name: getattr(thing, f.name) for f in fields(thing) if f.init}
    return plain({k: v for k, v in own.items() if k != "use"})


def _method(entry: Entry, check: Check | None, claims: Mapping[str, str]) -> dict[str, Any]:
    sources = [papers()[c] for c in entry.cites if c in papers()]
    first = sources[0] if sources else None
    try:
        settings = _settings(entry, check)
    except (TypeError, ValueError):  # needs an ingredient that only the check can give
        settings = {}
    return {
        "key": entry.key,
        "says": entry.says,
        "title": "; ".join(p.title for p in sources),
        "year": first.year if first else None,
        "link": first.link if first else "",
        "settings": settings,
        "claim": claims.get(entry.key, ""),
    }


def methods(checks: Iterable[Check], claims: Mapping[str, str]) -> list[dict[str, Any]]:
    """One card for each check and each method that it can reach, by name."""
    cards: dict[str, dict[str, Any]] = {}
    for check in checks:
        own = entry_of(type(check))
        if own is not None:
            cards[own.key] = _method(own, check, claims)
        for entry in parts(check):
            if entry.key not in cards:
                cards[entry.key] = _method(entry, None, claims)
    return [cards[k] for k in sorted(cards)]


def _outcome(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = plain(outcome)
    del row["seconds"]
    row["skipped"] = row["skipped"].partition("\n")[0]
    row["error"] = row["error"].partition("\n")[0]
    return row


def not_tested(outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    """What did not run or crashed, why, and what would enable it."""
    lines = []
    for o in outcomes:
        if o.skipped or o.error:
            reason, _, enable = (o.skipped or o.error).partition("\n")
            said = reason if o.skipped else f"it ended in an error: {reason}"
            lines.append({"check": o.check, "reason": said, "enable": enable})
    return lines


def actions(report: Report, verdict: Verdict, harden: str = "") -> list[dict[str, str]]:
    """What to do next: first what repairs a gate that does not pass, then other advice.

    Args:
        report: the audit.
        verdict: its gates.
        harden: the command that would train the model against its worst case.
    """
    short = {g.name for g in verdict.gates if g.verdict in ("fail", "undecided")}
    found: dict[str, dict[str, str]] = {}
    ranked: list[tuple[int, Finding]] = []
    for finding in (f for o in report.outcomes for f in o.findings):
        names = {r.name for r in finding.readings}
        if finding.advice and (names & short or finding.severity >= Severity.WARNING):
            ranked.append((0 if names & short else 1, finding))
    if harden and any(name.startswith("attacks.worst@") for name in short):
        says = "Train the model against its worst case"
        found[harden] = {
            "says": says, "command": harden,
            "effect": "raises the worst case, costs some clean accuracy",
        }  # fmt: skip
    for _, finding in sorted(ranked, key=lambda pair: (pair[0], -pair[1].severity)):
        advice = finding.advice
        command = advice if advice.startswith("holdfast ") else ""
        line = {"says": finding.says if command else advice, "command": command, "effect": ""}
        found.setdefault(advice, line)
    return list(found.values())


def document(
    report: Report,
    subject: Subject,
    checks: Sequence[Check],
    verdict: Verdict,
    *,
    gates_from: str = "default",
    preflight: Sequence[Finding] = (),
    claims: Mapping[str, str] | None = None,
    command: str = "",
    harden: str = "",
) -> dict[str, Any]:
    """Everything a report shows, as plain values that depend on nothing but the audit.

    Args:
        report: all outcomes.
        subject: what was asked about.
        checks: the checks of the suite.
        verdict: as given by `holdfast.run.verdict.verdict`.
        gates_from: `default` or the name of the file that set the gates.
        preflight: findings about the question itself.
        claims: standing of the claim behind each method, by catalogue key.
        command: the command line that repeats the audit.
        harden: the command that would train against the worst case.
    """
    return plain(  # type: ignore[no-any-return]
        {
            "schema_version": SCHEMA,
            "suite": report.suite,
            "seed": report.seed,
            "subject": subject_facts(subject),
            "preflight": list(preflight),
            "outcomes": [_outcome(o) for o in report.outcomes],
            "gates": list(verdict.gates),
            "gates_from": gates_from,
            "verdict": {"word": verdict.word, "code": verdict.code, "says": verdict.says},
            "actions": actions(report, verdict, harden),
            "not_tested": not_tested(report.outcomes),
            "methods": methods(checks, claims or {}),
            "command": command,
        }
    )
