"""What `holdfast show` prints: each function gives lines for people and plain data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from holdfast.core.errors import ConfigError

STORE = ".holdfast"
_FAMILIES = {
    "E00": "holdfast itself failed; the traceback is in the file named beside the message",
    "E01": "a setting, option or file is wrong",
    "E02": "a tensor does not have the shape, type or range that was asked for",
    "E03": "the method cannot do what was asked of it",
    "E04": "a file would have to run code, or is not what it claims to be",
    "E05": "an attack broke what a certificate had proved; please report it with both witnesses",
    "E06": "an optional dependency is not installed",
    "E07": "stopped on request; the same command continues",
}
Found = dict[str, Any]


def code(name: str) -> Found:
    """An error code: its family, and the places in the source that raise it."""
    family = _FAMILIES.get(name[:3])
    root, call = Path(__file__).parents[1], re.compile(rf"\w+\([^()]*(?:\([^()]*\)[^()]*)*{name}")
    places = []
    for file in sorted(root.rglob("*.py")):
        for raised in call.finditer(file.read_text("utf-8")):
            said = re.search(r'f?"((?:[^"\\]|\\.)*)"', raised[0])
            places.append((file.relative_to(root).as_posix(), said[1] if said else ""))
    if family is None or (not places and not name.endswith("00")):
        families = ", ".join(f"{f}xx" for f in _FAMILIES)
        raise ConfigError(f"show: there is no error {name}", fix=f"Families: {families}")
    lines = [f"{name}  {family}"] + [f"       {said}   ({where})" for where, said in places]
    return {"lines": lines, "data": {"code": name, "family": family, "places": places}}


def report(name: str) -> Found:
    """A run: its verdict and gates."""
    import io

    from holdfast.cli.verdict import show
    from holdfast.run.store import Store

    store = Store(STORE)
    run = store.find_run(name)
    results, facts, stream = store.results(run.id), store.facts(run.id), io.StringIO()
    # Commands as they were typed: the document itself leaves folders out.
    typed = results | {k: facts[k] for k in ("command", "actions") if k in facts}
    place = str(store.folder(run.id) / "report.html")
    show(typed, seconds=float(facts.get("seconds", 0.0)), report=place, stream=stream)
    lines = [f"{run.id}   {typed['suite']}   {typed['command']}", stream.getvalue().rstrip()]
    return {"lines": lines, "data": results}


def worst(run: str, n: int) -> Found:
    """Rows that broke first, worst first, with what the findings say about them."""
    from holdfast.run.store import Store

    store = Store(STORE)
    results = store.results(store.find_run(run).id)
    ordered = sorted(results["outcomes"], key=lambda o: o["check"] != "check:worst-case")
    rows = []
    for finding in (f for o in ordered for f in o["findings"] if f["rows"]):
        rows += [{"row": row, "says": finding["says"]} for row in finding["rows"]]
    seen: set[int] = set()
    first = [r for r in rows if not (r["row"] in seen or seen.add(r["row"]))][:n]  # type: ignore[func-returns-value]
    lines = [f" #{r['row']:<6} {r['says']}" for r in first]
    return {"lines": lines or ["no check of this run named a row"], "data": first}


def method(name: str) -> Found:
    """A method: what it does, where it comes from, its settings."""
    import inspect

    from holdfast.cli.plugged import brought
    from holdfast.core.catalog import entries, find
    from holdfast.core.fields import schema
    from holdfast.core.papers import papers

    same = [e for e in entries() if name in (e.name, getattr(e.thing, "__name__", ""))]
    entry = same[0] if len(same) == 1 else find(name)
    settings = schema(entry.thing).get("properties", {}) if entry.is_settings else {}
    if not settings and callable(entry.thing) and not isinstance(entry.thing, type):
        known = inspect.signature(entry.thing).parameters.values()
        settings = {p.name: {"default": str(p.default)} for p in known if p.kind is p.KEYWORD_ONLY}
    lines = [f"{entry.key}   {entry.says}"]
    lines += [f"  From plugin {label}" for label in brought(entry).values()]
    lines += [f"  Caution: {entry.caution}"] if entry.caution else []
    for key in entry.cites:
        paper = papers().get(key)
        lines.append(f"  {paper.title} ({paper.year}) {paper.link}" if paper else f"  {key}")
    for field, about in settings.items():
        ranges = [f"{k} {v}" for k, v in about.items() if k in _RANGES]
        lines.append(
            f"  {field} = {about.get('default', 'required')}  {', '.join(ranges)}".rstrip()
        )
    lines += ["", *(inspect.getdoc(entry.thing) or "").splitlines()]
    data = {"key": entry.key, "says": entry.says, "cites": entry.cites, "settings": settings}
    return {"lines": lines, "data": data | brought(entry)}


_RANGES = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "type")
