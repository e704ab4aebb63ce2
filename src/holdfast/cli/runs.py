"""`holdfast ls` and `holdfast show`: what the store holds."""

from __future__ import annotations

import json as text
from typing import Annotated, Any

import typer

from holdfast.cli import asked

STORE = ".holdfast"


def ls(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    resumable: Annotated[
        bool, typer.Option("--resumable", help="Only runs that were not finished.")
    ] = False,
) -> int:
    """List the runs of this folder, the latest last."""
    from holdfast.run.store import Store

    rows = [r for r in Store(STORE).ledger.runs() if not resumable or r.state != "finished"]
    if json:
        print(text.dumps([vars(r) for r in rows], indent=1, sort_keys=True))
        return 0
    for r in rows:
        print(f"{r.id:<44} {r.suite:<10} {r.state:<9} {r.word or '-':<11} {r.started}")
    if not rows:
        print("no runs yet: holdfast demo, or holdfast audit MODEL --data DATA")
    return 0


def show(
    what: Annotated[
        str, typer.Argument(help="A run, worst, an error code as E0117, or a method as pgd.")
    ] = "last",
    run: Annotated[str, typer.Option(help="The run whose worst rows are shown.")] = "last",
    plugin: asked.Plugin = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many rows.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Show a run, the worst rows of a run, an error code, or a method."""
    import re

    from holdfast.cli.shown import code, method, report, worst

    if re.fullmatch(r"[Ee]\d{4}", what):
        found: dict[str, Any] = code(what.upper())
    elif what == "worst":
        found = worst(run, n)
    elif re.match(r"last(~\d+)?$|\d{4}-\d\d-\d\d", what):
        found = report(what)
    else:
        from holdfast.cli.plugged import plug

        plug(plugin)
        found = method(what)
    print(
        text.dumps(found["data"], indent=1, sort_keys=True) if json else "\n".join(found["lines"])
    )
    return 0
