"""The closing sections: cost, what was not tested, methods, and how to get the same answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from holdfast.report.document import Document, mapping, mappings, number, outcomes, text
from holdfast.report.parts import Section, section
from holdfast.report.tables import entry
from holdfast.report.words import TOKENS

_SEEN = 0.05  # seconds below which a check is no cost
_ELSEWHERE = {"schema_version", "folder", "host", "command", "day"}  # or told in another place
_NAMED = {"seconds": "Took", "python": "Python", "torch": "PyTorch"}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")


def cost(run: Document) -> Section | None:
    """Seconds by check and whatever else the run tells in plain values."""
    spent = mapping(run.get("seconds")) or mapping(run.get("checks"))
    by_check = [(text(k, 80).removeprefix("check:"), number(v)) for k, v in spent.items()]
    by_check = [(name, s) for name, s in by_check if s is not None and s >= _SEEN]
    longest = max((s for _, s in by_check if s is not None), default=0.0)
    rows = [
        (name, f"{s:.1f} s", Markup('<svg class="cost" width="100%" height="8" aria-hidden="true">'
         '<rect width="{:.1f}%" height="8" rx="2"/></svg>').format(100 * s / longest))
        for name, s in sorted(by_check, key=lambda p: -(p[1] or 0)) if s is not None and longest > 0
    ]  # fmt: skip
    facts = [
        (_NAMED.get(k) or text(k, 60).replace("_", " ").capitalize(), _fact(k, v))
        for k, v in run.items()
        if isinstance(v, str | int | float | bool) and k not in _ELSEWHERE
    ]
    return section("cost", more={"rows": rows, "facts": facts}) if rows or facts else None


def _fact(key: str, value: object) -> str:
    """A fact of a run as people write it: a moment without its zone's digits, seconds as such."""
    told = entry(value)
    if _MOMENT.fullmatch(told):
        return told[:19].replace("T", " ") + " UTC"
    return f"{told} s" if key == "seconds" else told


def listed(key: str, rows: Iterable[Any]) -> Section | None:
    """A section that is a list."""
    made = list(rows)
    return section(key, more={"rows": made}) if made else None


def not_tested(results: Document) -> list[tuple[str, str, str]]:
    """Name, reason and remedy of each check that did not run: declared ones, then outcomes."""
    declared = mappings(results.get("not_tested"))
    made = [(_check(d), text(d.get("reason"), 400), text(d.get("enable"), 300)) for d in declared]
    known = {c for c, _, _ in made}
    for outcome in outcomes(results):
        why = text(outcome.get("skipped"), 400) or text(outcome.get("error"), 400)
        if why and _check(outcome) not in known:
            made.append((_check(outcome), why, ""))
    return made


def _check(value: Document) -> str:
    """A check's name without its kind."""
    name = text(value.get("check"), 80).removeprefix("check:")
    words = (TOKENS.get(w, w) for w in name.split("-"))
    told = " ".join(words)
    return told[:1].upper() + told[1:]


def _settings(value: object) -> str:
    """Settings as `name value` pairs."""
    if not isinstance(value, dict):
        return "" if value in ((), [], None) else text(value, 300)

    def word(v: object) -> str:
        if isinstance(v, dict):
            rest = ", ".join(f"{text(k, 40)} {word(w)}" for k, w in v.items() if k != "use")
            return f"{text(v.get('use'), 80)} ({rest})" if rest else text(v.get("use"), 80)
        return ", ".join(map(word, v)) or "all" if isinstance(v, list | tuple) else entry(v)

    return text(" · ".join(f"{text(k, 40)} {word(v)}" for k, v in value.items()), 300)


def methods(results: Document) -> list[dict[str, str]]:
    """One card per method; a link is kept only if it is an https address."""
    made = []
    for method in mappings(results.get("methods")):
        one = {
            k: text(method.get(k), 300)
            for k in ("key", "says", "title", "year", "link", "claim", "origin")
        }
        one["settings"] = _settings(method.get("settings"))
        one["link"] = one["link"] if one["link"].startswith("https://") else ""
        made.append(one)
    return made


def reproduce(results: Document) -> Section | None:
    """The command and what identifies model, data and draws."""
    subject = mapping(results.get("subject"))
    model, data = mapping(subject.get("model")), mapping(subject.get("data"))
    rows = [
        ("Model", text(model.get("digest"), 200)),
        ("Parameters", entry(model.get("parameters"))),
        ("Kind", text(model.get("kind"), 80)),
        ("Data", text(data.get("digest"), 200)),
        ("Shape", text(data.get("shape"), 80)),
        ("Reference rows", entry(data.get("n_reference"))),
        ("Threats", ", ".join(text(t, 80) for t in subject.get("threats") or ())),
        ("Suite", text(results.get("suite"), 80)),
        ("Seed", text(results.get("seed"), 40)),
    ]
    command = text(results.get("command"), 600)
    kept = [(k, v) for k, v in rows if v and v != "–"]
    more = {"command": command, "rows": kept}
    return section("reproduce", more=more) if command or kept else None
