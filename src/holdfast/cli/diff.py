"""`holdfast diff`: what changed between two runs, and how sure that is."""

from __future__ import annotations

import json as text
from collections.abc import Mapping
from typing import Annotated, Any

import typer

STORE = ".holdfast"


def readings(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every reading of a run by its name."""
    rows = [r for o in results["outcomes"] for f in o["findings"] for r in f["readings"]]
    return {r["name"]: r for r in rows}


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """One reading before and after: the change, its direction, and whether intervals are apart."""
    change, better = None, "same"
    if before["value"] is not None and after["value"] is not None:
        change = after["value"] - before["value"]
        gain = {"higher": change, "lower": -change}.get(after["better"], 0.0)
        better = "better" if gain > 0 else "worse" if gain < 0 else "same"
    ends = [before["low"], before["high"], after["low"], after["high"]]
    apart = None not in ends and (ends[1] < ends[2] or ends[3] < ends[0])
    return {
        "name": after["name"], "before": before, "after": after, "change": change,
        "direction": better, "sure": apart,
    }  # fmt: skip


def diff(
    a: Annotated[str, typer.Argument(help="The earlier run.")] = "last~1",
    b: Annotated[str, typer.Argument(help="The later run.")] = "last",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Show what did not change too.")] = False,
) -> int:
    """Compare two runs number by number; "sure" means that the intervals do not overlap."""
    from holdfast.report.numbers import amount, interval
    from holdfast.run.store import Store

    store = Store(STORE)
    first, second = (store.results(store.find_run(name).id) for name in (a, b))
    left, right = readings(first), readings(second)
    rows = [compared(left[n], right[n]) for n in right if n in left]
    only = sorted(left.keys() ^ right.keys())
    if json:
        words = [first["verdict"]["word"], second["verdict"]["word"]]
        print(text.dumps({"readings": rows, "only_in_one": only, "verdicts": words}, indent=1))
        return 0

    def shown(r: Mapping[str, Any]) -> str:
        doubt = f" ({'; '.join(r['flags'])})" if r["flags"] else ""
        return f"{amount(r['value'], r['unit'])} {interval(r['low'], r['high'], r['unit'])}{doubt}"

    print(f"{'':<38} {'before':<24} {'after':<24} {'change':<12} sure?")
    for row in rows:
        if row["change"] or all_:
            share = row["after"]["unit"] == "share"
            change = row["change"] or 0.0
            size = f"{100 * change:+.1f} pt" if share else f"{change:+.3g}"
            sure = f"{row['direction']}, {'yes' if row['sure'] else 'not sure'}"
            before, after = shown(row["before"]), shown(row["after"])
            print(f"{row['name']:<38} {before:<24} {after:<24} {size:<12} {sure}")
    count = {d: sum(r["direction"] == d for r in rows) for d in ("better", "worse", "same")}
    said = " · ".join(f"{number} {word}" for word, number in count.items())
    print(f"{said} · verdict: {first['verdict']['word']} -> {second['verdict']['word']}")
    if only:
        print(f"in one run only: {', '.join(only)}")
    return 0
