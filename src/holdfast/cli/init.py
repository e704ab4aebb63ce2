"""`holdfast init`: gates of your own, and the file that makes a pipeline check them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

_DIGITS = 3


def outward(limit: float, down: bool) -> str:
    """Three significant digits of a limit, rounded to the side on which it asks for less."""
    exact = Decimal(repr(limit))
    if not exact:
        return "0"
    step = Decimal(1).scaleb(exact.adjusted() - _DIGITS + 1)
    return f"{exact.quantize(step, ROUND_FLOOR if down else ROUND_CEILING).normalize():f}"


def gates_from(results: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Each gate of a run one width of its interval below (or above) its present value.

    Gates compare the ends of intervals, so the width is counted from the pessimistic end: the
    same model on other draws keeps it. A gate is written only if that very run passes it.

    Returns:
        The rules by name, and for each gate that is left out the reason.
    """
    from holdfast.core.records import Reading
    from holdfast.run.gates import gate
    from holdfast.run.verdict import decide

    rules: dict[str, str] = {}
    left: dict[str, str] = {}
    for old in results["gates"]:
        name, ends = old["name"], [old["value"], old["low"], old["high"]]
        if None in ends:
            left[name] = old["says"] or "it has no interval"
            continue
        upward, width = old["relation"].startswith(">"), old["high"] - old["low"]
        limit = old["low"] - width if upward else old["high"] + width
        limit = min(max(limit, 0.0), 1.0) if old["unit"] == "share" else limit
        rule = f"{'>=' if upward else '<='} {outward(limit, upward)}"
        number, read = gate(name, rule), Reading(
            name=name, value=ends[0], low=ends[1], high=ends[2], n=old["n"], bound=old["bound"],
            flags=tuple(old["flags"]),
        )  # fmt: skip
        if decide(number.relation, number.limit, read) == "pass":
            rules[name] = rule
        else:
            left[name] = f"self-checks doubt it ({'; '.join(old['flags'])})"
    return rules, left


def init(
    from_run: Annotated[str, typer.Option(help="A run, as last; its values become gates.")] = "",
    ci: Annotated[
        str, typer.Option(help="github, gitlab or none; auto looks at the folder.")
    ] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> int:
    """Write holdfast.toml (gates and options) and a pipeline that checks them on every push."""
    import tomli_w

    from holdfast.cli.hosts import pipeline
    from holdfast.core.errors import ConfigError
    from holdfast.run.store import Store
    from holdfast.run.writing import write
    from holdfast.suites import default_gates

    store, content, left = Store(".holdfast"), dict[str, Any](), dict[str, str]()
    if from_run:
        row = store.find_run(from_run)
        kept = {k: v for k, v in row.options.items() if v not in (None, [])}
        content = {"audit": kept} if kept else {}
        content["gate"], left = gates_from(store.results(row.id))
    else:
        content["gate"] = {g.name: f"{g.relation} {g.limit:g}" for g in default_gates()}
    files = {Path("holdfast.toml"): tomli_w.dumps(content)} | pipeline(ci)
    if taken := [str(f) for f in files if f.exists() and not force]:
        raise ConfigError(
            f"init: {', '.join(taken)} exists", fix="holdfast init --force", code="E0128"
        )
    for file, lines in files.items():
        write(file, lines)
        gates = f" ({len(content['gate'])} gates)" if file.name == "holdfast.toml" else ""
        print(f"wrote {file}{gates}", file=sys.stderr)
    for name, why in left.items():
        print(f"  no gate for {name}: {why}", file=sys.stderr)
    return 0
