"""`holdfast list` and `holdfast papers`: the catalogue and the bibliography."""

from __future__ import annotations

import json as text
from typing import Annotated, Any

import typer

from holdfast.cli import asked


def list_(
    kind: Annotated[str | None, typer.Argument(help="attack, check, threat, suite ...")] = None,
    plugin: asked.Plugin = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """List every method of the catalogue, or those of one kind; `suite` lists the suites."""
    from holdfast.cli.plugged import brought, plug
    from holdfast.core.catalog import entries
    from holdfast.core.errors import ConfigError
    from holdfast.core.kinds import KINDS
    from holdfast.suites import names

    plug(plugin)
    if kind in ("suite", "suites"):
        print(text.dumps(names()) if json else "\n".join(names()))
        return 0
    single = kind.removesuffix("s") if kind and kind not in KINDS else kind
    if single is not None and single not in KINDS:
        raise ConfigError(
            f"list: there is no kind {kind!r}", fix=f"Kinds: {', '.join(KINDS)}, suite",
            code="E0109",
        )  # fmt: skip
    found = entries(single)
    if json:
        rows = [{"key": e.key, "says": e.says, "cites": e.cites, **brought(e)} for e in found]
        print(text.dumps(rows, indent=1))
        return 0
    width = max((len(e.key) for e in found), default=0)
    for e in found:
        own = "".join(f"   (from {label})" for label in brought(e).values())
        print(f"{e.key:<{width}}  {e.says}{own}")
    return 0


def papers(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """List every paper with the methods that come from it and the standing of its claim."""
    from holdfast.claims.harness import claims, ledger
    from holdfast.core.catalog import entries
    from holdfast.core.papers import papers as known

    rows, tried, every = ledger(), claims(), entries()
    lines: list[dict[str, Any]] = []
    for key, paper in sorted(known().items()):
        methods = [e.key for e in every if key in e.cites]
        about = [k for k, c in tried.items() if k == key or set(c.methods) & set(methods)]
        standing = {k: rows.get(k, {}).get("standing", "not tried") for k in about}
        lines.append(
            {
                "key": key, "title": paper.title, "year": paper.year, "link": paper.link,
                "role": paper.role, "methods": methods, "claims": standing,
                "out_of_reach": paper.out_of_reach,
            }
        )  # fmt: skip
    if json:
        print(text.dumps(lines, indent=1, ensure_ascii=False))
        return 0
    for line in lines:
        shown = ", ".join(f"{k}: {v}" for k, v in line["claims"].items()) or "no claim yet"
        print(f"{line['year']}  {line['title']}\n      {', '.join(line['methods'])}   [{shown}]")
    return 0
