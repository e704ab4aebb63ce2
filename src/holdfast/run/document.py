"""The document of an audit: `results.json`, which holds no time, no path and no host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from holdfast.core.catalog import Entry, entry_of, resolve
from holdfast.core.digest import digest
from holdfast.core.kinds import Check
from holdfast.core.papers import papers
from holdfast.core.quiet import modules_of
from holdfast.core.records import Finding, Outcome, Report, Subject
from holdfast.core.table import table
from holdfast.ops.batch import take
from holdfast.run.advice import actions, not_tested
from holdfast.run.cells import module_of, parts
from holdfast.run.plugins import origin
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
    foreign = origin(entry.key, module_of(entry))
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
    } | ({} if foreign is None else {"origin": foreign.label})


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
    harden: Mapping[str, str] | None = None,
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
        harden: for each threat the command that would train the model against it.
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
            "actions": actions(report, verdict, harden, gates_from),
            "not_tested": not_tested(report.outcomes, verdict.gates),
            "methods": methods(checks, claims or {}),
            "command": command,
        }
    )
