"""`holdfast diff`: what changed between two runs, and how sure that is."""

from __future__ import annotations

import json as text
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from holdfast.run.paired import Paired
    from holdfast.run.store import Store

STORE = ".holdfast"
LEVEL = 0.05
_ENDS = ("better", "worse", "not sure", "same")


def readings(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every reading of a run by its name."""
    rows = [r for o in results["outcomes"] for f in o["findings"] for r in f["readings"]]
    return {r["name"]: r for r in rows}


def compared(
    before: Mapping[str, Any], after: Mapping[str, Any], paired: Paired | None, p: float
) -> dict[str, Any]:
    """One reading before and after.

    Args:
        before: the earlier reading.
        after: the later one.
        paired: the change on the rows that both runs measured, None where none are known.
        p: of that change, corrected for the whole table.
    """
    change, better = None, "same"
    if before["value"] is not None and after["value"] is not None:
        change = after["value"] - before["value"] if paired is None else paired.change
        gain = {"higher": change, "lower": -change}.get(after["better"], 0.0)
        better = "better" if gain > 0 else "worse" if gain < 0 else "same"
    pair = None if paired is None else asdict(paired) | {"p_corrected": p}
    return {
        "name": after["name"], "before": before, "after": after, "change": change,
        "direction": better, "paired": pair, "sure": None if paired is None else p < LEVEL,
    }  # fmt: skip


def table(
    before: Mapping[str, Any], after: Mapping[str, Any], changes: Mapping[str, Paired]
) -> list[dict[str, Any]]:
    """Every number that both runs know, side by side, in the order of the later run."""
    from holdfast.run.paired import sure

    left, right, p = readings(before), readings(after), sure(changes)
    return [compared(left[n], r, changes.get(n), p.get(n, 1.0)) for n, r in right.items()
            if n in left]  # fmt: skip


def between(
    store: Store, a: str, b: str
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """The documents of two runs, and every number that both know, paired where rows are shared."""
    from holdfast.cli.earlier import at
    from holdfast.run.paired import compared as pairs
    from holdfast.run.rows import FILE, unpacked

    (first, one), (second, two) = (at(store, name) for name in (a, b))
    changes = pairs(unpacked(one / FILE), unpacked(two / FILE))
    return first, second, table(first, second, changes)


def said(row: Mapping[str, Any]) -> tuple[str, str]:
    """The change with its interval, and whether it is sure."""
    share, pair = row["after"]["unit"] == "share", row["paired"]
    scale, digits = (100.0, ".1f") if share else (1.0, ".3g")

    def number(value: float) -> str:
        return f"{scale * value:+{digits}}"

    if row["change"] is None:
        return "?", "-"
    size = number(row["change"]) + (" pt" if share else "")
    if pair is None:
        return size if row["change"] else "0", "-"
    size += f" [{number(pair['low'])}, {number(pair['high'])}]"
    few = f", {pair['n']:,} shared rows" if pair["n"] < row["after"]["n"] else ""
    p = pair["p_corrected"]
    return size, (f"yes ({_chance(p)})" if row["sure"] else "no") + few


def _chance(p: float) -> str:
    return "p<.001" if p < 0.001 else f"p={p:.3f}".replace("=0.", "=.")


def _end(row: Mapping[str, Any]) -> str:
    """What became of a number: surely better or worse, not sure, or the same."""
    if row["direction"] == "same":
        return "same" if not row["change"] else "not sure"
    return str(row["direction"]) if row["sure"] else "not sure"


def diff(
    a: Annotated[str, typer.Argument(help="The earlier run, or its folder.")] = "last~1",
    b: Annotated[str, typer.Argument(help="The later run, or its folder.")] = "last",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Show what did not change too.")] = False,
) -> int:
    """Compare two runs number by number, in pairs on the rows that both of them measured.

    "sure?" is an exact test of the rows that differ (McNemar), or a paired bootstrap, corrected
    for all numbers of the table; "-" where no rows are shared.
    """
    from holdfast.run.store import Store

    first, second, rows = between(Store(STORE), a, b)
    only = sorted(readings(first).keys() ^ readings(second).keys())
    words = [first["verdict"]["word"], second["verdict"]["word"]]
    if json:
        found = {"readings": rows, "only_in_one": only, "verdicts": words}
        print(text.dumps(found, indent=1))
        return 0
    _print([r for r in rows if r["change"] or all_])
    ends = [_end(r) for r in rows]
    count = " · ".join(f"{ends.count(e)} {e}" for e in _ENDS)
    print(f"{count} · verdict: {' -> '.join(words)}")
    if only:
        print(f"in one run only: {', '.join(only)}")
    return 0


def _print(rows: list[dict[str, Any]]) -> None:
    """The table, each column as wide as it must be."""
    from holdfast.report.numbers import amount, interval

    def shown(r: Mapping[str, Any]) -> str:
        doubt = f" ({'; '.join(r['flags'])})" if r["flags"] else ""
        return f"{amount(r['value'], r['unit'])} {interval(r['low'], r['high'], r['unit'])}{doubt}"

    lines = [("", "before", "after", "change", "sure?")]
    lines += [(r["name"], shown(r["before"]), shown(r["after"]), *said(r)) for r in rows]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [f"{c:<{w}}" for c, w in zip(line, wide, strict=True)]
        print("  ".join(cells).rstrip())
