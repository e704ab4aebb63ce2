"""What `holdfast show` prints: each function gives lines for people and plain data."""

from __future__ import annotations

from typing import Any

STORE = ".holdfast"
Found = dict[str, Any]


def code(name: str) -> Found:
    """An error code: why it happens, what repairs it, a command that fails and one that works."""
    from holdfast.cli.error_pages import page

    found = page(name)
    return {"lines": found.lines, "data": vars(found) | {"family": found.family}}


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
