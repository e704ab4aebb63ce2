"""A short Markdown summary for a pull request: verdict, gates, worst number, actions."""

from __future__ import annotations

import re

from holdfast.report.change import changes
from holdfast.report.closing import not_tested
from holdfast.report.document import Document, findings, mapping, sentence, text
from holdfast.report.screen import Gate, actions, day, facts, gates, screen
from holdfast.report.words import severity

_MARKS = re.compile(r"[\\`*_{}\[\]()#+\-.!|~>:=$^]")
_ZERO = "\u200b"


def escape(value: object) -> str:
    """Text that stays text: no markup, no HTML, no link, nobody is called by an @."""
    plain = text(value, 600).replace("&", "&amp;").replace("<", "&lt;")
    plain = _MARKS.sub(lambda m: "\\" + m.group(), plain)
    plain = plain.replace("@", f"@{_ZERO}").replace("\\#", f"\\#{_ZERO}")
    return re.sub(r"(?i)\bwww\\\.", f"www{_ZERO}\\.", plain)


def code(value: object) -> str:
    """A code span whose fence is longer than any run of ticks inside; safe within tables."""
    plain = text(value, 400).replace("|", "\u00a6")
    if not plain:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    space = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{space}{plain}{space}{fence}"


def _gate(gate: Gate) -> str:
    """One row of the table of gates."""
    one = gate.shown
    flags = f" ({escape(', '.join(one.flags))})" if one.flags else ""
    number = f"**{escape(one.value)}** {escape(one.interval)}{flags}"
    kind = f"{one.bound}, n={one.n}"
    why = f" ({escape(gate.why)})" if gate.why and gate.state != "missing" else ""
    return f"| {gate.mark} {gate.word} | {code(one.name)} | {number} | {kind} | {gate.wants}{why} |"


def _change(results: Document, baseline: Document, run: Document) -> list[str]:
    """What surely changed; what lies within the noise is only counted."""
    every = changes(results, baseline, run)
    sure = [c for c in every if c.state != "same"]
    lines = ["", "**Since baseline**", ""]
    if sure:
        lines += ["| | before | after | change |", "|---|---|---|---|"]
    for one in sure:
        before, after = escape(one.before.full), escape(one.after.full)
        told = " ".join(filter(None, (one.change, one.interval, one.word, one.shared)))
        lines.append(f"| {code(one.after.name)} | {before} | {after} | {escape(told)} |")
    rest = len(every) - len(sure)
    return [
        *lines,
        *([""] if sure else []),
        f"{rest} of {len(every)} numbers did not surely change.",
    ]


def render_markdown(results: Document, *, run: Document | None = None,
                    baseline: Document | None = None) -> str:  # fmt: skip
    """A summary that fits a pull request comment.

    Names come from users: sentences are escaped, names stand in code spans, so that nothing
    renders, links or notifies.

    Args:
        results: the document `results.json`; any part may be absent.
        run: the document `run.json`, if there is one.
        baseline: the `results.json` of an earlier audit to compare with.

    Returns:
        Markdown text.
    """
    results, run, baseline = mapping(results), mapping(run), mapping(baseline)
    first = screen(results, run)
    about = ", ".join(code(f) for f in (first.title, *facts(results, {}))) + (
        f", {day(run)}" if day(run) else ""
    )
    sampled = ", sampled" if first.sampled else ""
    lines = [f"### Holdfast: {escape(first.word)}", "", escape(first.says), "", about + sampled]
    if first.worst:
        one = first.worst
        lines += ["", f"**{escape(one.label)}: {escape(one.full)}**"]
    every = gates(results)
    if every:
        lines += ["", "| | gate | number | kind | needs |", "|---|---|---|---|---|"]
        lines += [_gate(g) for g in every]
    serious = [f for _, f in findings(results) if severity(f.get("severity"))[0] == "failure"]
    if serious:
        lines += ["", "**Findings**", "", *(f"- {escape(sentence(f))}" for f in serious[:8])]
    fixes = actions(results)
    if fixes:
        lines += ["", "**Cheapest fixes**", ""]
        for i, fix in enumerate(fixes[:3], 1):
            effect = f" ({escape(fix.effect)})" if fix.effect else ""
            lines.append(f"{i}. {escape(fix.says)}{effect}  {code(fix.command)}".rstrip())
    if baseline:
        lines += _change(results, baseline, run)
    skipped = not_tested(results)
    if skipped:
        lines += ["", f"<details><summary>Not tested: {len(skipped)}</summary>", ""]
        lines += [
            f"- {escape(name)}: {escape(why)}  {code(how)}".rstrip() for name, why, how in skipped
        ]
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"
