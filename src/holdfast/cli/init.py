"""`holdfast init`: gates of your own, and the lines that make a build check them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

WORKFLOW = """name: holdfast
on: [push, pull_request]
jobs:
  audit:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.12"}
      - run: pip install holdfast
      - run: holdfast audit --junit junit.xml --markdown summary.md
      - if: always()
        run: cat summary.md >> "$GITHUB_STEP_SUMMARY"
"""


def gates_from(results: Mapping[str, Any]) -> dict[str, str]:
    """Each gate of a run at its present value, minus one width of its interval."""
    lines = {}
    for gate in results["gates"]:
        ends = (gate["value"], gate["low"], gate["high"])
        if None in ends:
            continue
        upward = gate["relation"] in (">=", ">")
        width = gate["high"] - gate["low"]
        limit = gate["low"] - width if upward else gate["high"] + width
        if gate["unit"] == "share":
            limit = min(max(limit, 0.0), 1.0)
        lines[gate["name"]] = f"{gate['relation']} {limit:.3g}"
    return lines


def init(
    from_run: Annotated[str, typer.Option(help="A run, as last; its values become gates.")] = "",
    ci: Annotated[bool, typer.Option("--ci/--no-ci", help="Write a GitHub workflow.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> int:
    """Write holdfast.toml (gates and options) and a workflow that checks them on every push."""
    import tomli_w

    from holdfast.core.errors import ConfigError
    from holdfast.run.store import Store
    from holdfast.run.writing import write
    from holdfast.suites import default_gates

    store, content = Store(".holdfast"), dict[str, Any]()
    if from_run:
        row = store.find_run(from_run)
        kept = {k: v for k, v in row.options.items() if v not in (None, [])}
        content = {"audit": kept} if kept else {}
        content["gate"] = gates_from(store.results(row.id))
    else:
        content["gate"] = {g.name: f"{g.relation} {g.limit:g}" for g in default_gates()}
    files = {Path("holdfast.toml"): tomli_w.dumps(content)}
    if ci:
        files[Path(".github/workflows/holdfast.yml")] = WORKFLOW
    if taken := [str(f) for f in files if f.exists() and not force]:
        raise ConfigError(
            f"init: {', '.join(taken)} exists", fix="holdfast init --force", code="E0128"
        )
    for file, lines in files.items():
        write(file, lines)
        print(f"wrote {file}", file=sys.stderr)
    return 0
