"""The end of an audit: what to do next, and what is still not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from holdfast.core.records import Finding, Outcome, Report, Severity
from holdfast.run.verdict import INTERRUPTED, Judged, Verdict


def not_tested(outcomes: Sequence[Outcome], gates: Iterable[Judged] = ()) -> list[dict[str, str]]:
    """What did not run or crashed or was never asked, why, and what would enable it."""
    lines, asked = [], {o.section for o in outcomes}
    for g in gates:
        if g.verdict == "not applicable" and g.name.partition(".")[0] not in asked:
            lines.append({"check": g.name, "reason": g.says, "enable": "--profile standard"})
    for o in outcomes:
        if o.skipped or o.error:
            reason, _, enable = (o.skipped or o.error).partition("\n")
            said = reason if o.skipped else f"it ended in an error: {reason}"
            lines.append({"check": o.check, "reason": said, "enable": enable})
    return lines


def actions(
    report: Report, verdict: Verdict, harden: Mapping[str, str] | None = None, gates_from: str = ""
) -> list[dict[str, str]]:
    """What to do next: first what repairs a gate that does not pass, then other advice.

    Training against the worst case is named only where a worst-case gate does not pass.

    Args:
        report: the audit.
        verdict: its gates.
        harden: for each threat the command that would train the model against it.
        gates_from: `default` where the user has set no gates yet.
    """
    short = {g.name for g in verdict.gates if g.verdict in ("fail", "undecided", "accepted")}
    found: dict[str, dict[str, str]] = {}
    ranked: list[tuple[int, Finding]] = []
    for finding in (f for o in report.outcomes for f in o.findings):
        names = {r.name for r in finding.readings}
        if names & {f"attacks.worst@{spec}" for spec in harden or {}}:
            continue  # the command below says it better
        if finding.advice and (names & short or finding.severity >= Severity.WARNING):
            ranked.append((0 if names & short else 1, finding))
    for spec, line in (harden or {}).items():
        if f"attacks.worst@{spec}" in short:
            found[line] = {
                "says": f"Train the model against its worst case within {spec}", "command": line,
                "effect": "raises the worst case, costs some clean accuracy",
            }  # fmt: skip
    for _, finding in sorted(ranked, key=lambda pair: (pair[0], -pair[1].severity)):
        advice = finding.advice
        found.setdefault(advice, {"says": advice, "command": "", "effect": ""})
    if gates_from == "default" and verdict.gates and verdict.code != INTERRUPTED:
        found["init"] = {
            "says": "Make the numbers of this run your own gates",
            "command": "holdfast init --from-run last",
            "effect": "the next audit fails where they get worse",
        }
    return list(found.values())
