"""The ledger of an attack, stage by stage, and the panel of its self-checks."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from holdfast.report.document import Document, mapping, mappings, number, outcomes, text

_COUNTS = ("rows", "broken", "set aside", "forwards", "backwards")


@dataclass(frozen=True)
class StageLine:
    """One stage: its attack, its part, its counts as text, a drawing of what it cost."""

    attack: str
    part: str
    cells: tuple[str, ...]
    cost: Markup


@dataclass(frozen=True)
class Ledger:
    """All stages, and their sums; the last cell of each is seconds where `timed`."""

    lines: tuple[StageLine, ...]
    total: tuple[str, ...]
    timed: bool = False


@dataclass(frozen=True)
class Check:
    """One self-check: state, mark, name, what it saw, what repairs it."""

    state: str
    mark: str
    name: str
    says: str
    fix: str


def ledger(rows: list[Document]) -> Ledger | None:
    """The ledger, if these are the rows of one."""
    if not rows or not all("stage" in r and "forwards" in r for r in rows):
        return None
    counts = [[number(r.get(k)) or 0.0 for k in _COUNTS] for r in rows]
    names = [text(r.get("stage"), 100).removeprefix("attack:") for r in rows]
    passes = [c[3] + c[4] for c in counts]
    most = max(passes, default=0.0)
    seconds = [number(r.get("seconds")) for r in rows]
    known = any(s is not None for s in seconds)
    lines = []
    for name, count, spent, took in zip(names, counts, passes, seconds, strict=True):
        attack, _, part = name.partition(": ")
        cells = tuple(_count(v) for v in count) + ((_seconds(took),) if known else ())
        lines.append(StageLine(attack, part, cells, _bar(spent / most if most else 0.0)))
    sums = [_count(sum(c[k] for c in counts)) for k in range(1, len(_COUNTS))]
    sums += [_seconds(sum(s or 0.0 for s in seconds))] if known else []
    return Ledger(tuple(lines), ("", *sums), known)


def timed(results: Document, run: Document) -> Document:
    """The results with seconds in their ledgers, which only the facts of the run know.

    Args:
        results: the document `results.json`.
        run: the document `run.json`; its `ledgers` hold seconds by cell, figure and stage.
    """
    known = mapping(run.get("ledgers"))
    if not known:
        return results
    made = [_timed(o, mapping(known.get(text(o.get("cell"))))) for o in outcomes(results)]
    return dict(results) | {"outcomes": made}


def _timed(outcome: Document, known: Document) -> Document:
    """One outcome with seconds in the rows of those figures that are known."""
    findings: list[Document] = []
    for finding in mappings(outcome.get("findings")) if known else ():
        figures: list[Document] = []
        for figure in mappings(finding.get("figures")):
            spent = mapping(known.get(text(figure.get("name"))))
            rows = mappings(figure.get("rows"))
            told = [dict(r) | {"seconds": spent.get(text(r.get("stage")))} for r in rows]
            figures.append(dict(figure) | {"rows": told} if spent else figure)
        findings.append(dict(finding) | {"figures": figures})
    return dict(outcome) | {"findings": findings} if known else outcome


def panel(rows: list[Document]) -> tuple[Check, ...]:
    """Self-checks, failed ones first, if these are rows of such."""
    if not rows or not all("check" in r and "result" in r for r in rows):
        return ()
    made = []
    for row in rows:
        failed = text(row.get("result"), 20).lower() != "pass"
        made.append(Check(
            "bad" if failed else "good", "✕" if failed else "✓", text(row.get("check"), 80),
            text(row.get("says"), 300), text(row.get("repaired by"), 200) if failed else "",
        ))  # fmt: skip
    return tuple(sorted(made, key=lambda c: c.state))


def _count(value: float) -> str:
    return f"{value:,.0f}" if value else "–"


def _seconds(value: float | None) -> str:
    return f"{value:,.2f}" if value else "–"


def _bar(share: float) -> Markup:
    """A share of the width of its column."""
    part = 100 * min(max(share, 0.0), 1.0)
    return Markup(
        '<svg class="bar" width="100%" height="5" aria-hidden="true">'
        '<rect width="{:.1f}%" height="5" rx="2"/></svg>'
    ).format(part)
