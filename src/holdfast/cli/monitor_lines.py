"""How `holdfast monitor` tells what it found: a line per window, then the columns that moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN, WIDTH = 20, 32
STATISTICS = {"distribution": "KS distance", "outside": "share outside"}


def lines(told: Mapping[str, Any]) -> list[str]:
    """One line per window, then the columns that moved, then what else is to be said."""
    before, windows = told["reference"], told["windows"]
    sample = f" of {before['whole']:,}" if before["whole"] > before["n"] else ""
    count = before["columns"]
    found = [
        f"{len(windows)} windows against {before['name']} ({before['n']:,}{sample} rows, {count} "
        f"columns); chance of any false alarm in the whole stream at most {told['alpha']:g}.",
    ]
    if "model" in told and told["model"]["inputs"]:
        found.append(f"The model is given: {', '.join(told['model']['inputs'])}.")
    if before["only_gaps_compared"]:
        names = ", ".join(before["only_gaps_compared"])
        found.append(f"Texts, hardly two alike, of which only gaps are compared: {names}.")
    wide = min(max(6, *(len(w["name"]) for w in windows)), WIDTH)
    found += ["", f"{'window':<{wide}}  {'rows':>7}  {'verdict':<9}  {'p':>8}  {'level':>8}  "
                  f"{'moved':>5}  clearest"]  # fmt: skip
    found += [_line(w, wide) for w in windows]
    found += ["", _sentence(told)]
    if told["moved"]:
        found += ["", "Columns that moved, furthest first:"]
        for m in told["moved"][:SHOWN]:
            found += _feature(m)
        if len(told["moved"]) > SHOWN:
            found.append(f"  and {len(told['moved']) - SHOWN} more; --json has all")
    for key, heading in (("changed", "No longer as the reference has it:"),
                         ("notes", "Worth a look, no drift by itself:")):  # fmt: skip
        said = [f"  {w['name']}: {s}" for w in windows for s in w[key]]
        if said:
            found += ["", heading, *said[:SHOWN]]
            found += [f"  and {len(said) - SHOWN} more; --json has all"] * (len(said) > SHOWN)
    return found


def _line(w: Mapping[str, Any], wide: int) -> str:
    name = w["name"] if len(w["name"]) <= wide else "…" + w["name"][1 - wide :]
    best = w["clearest"]
    rows = f"{w['n']:,}" + ("*" if w["whole"] > w["n"] else "")
    p = "-" if best is None else f"{w['p']:.2g}"
    first = "schema" if w["changed"] else best["column"] if best and w["n"] else "-"
    return (
        f"{name:<{wide}}  {rows:>7}  {w['verdict']:<9}  {p:>8}  {w['level']:>8.2g}  "
        f"{len(w['moved']):>5}  {first}"
    )


def _sentence(told: Mapping[str, Any]) -> str:
    windows = told["windows"]
    drift, small, empty = ([w for w in windows if w["verdict"] == v]
                           for v in ("drift", "too small", "empty"))  # fmt: skip
    says = f"Drift in {len(drift)} of {len(windows)} windows"
    says += f", first in {drift[0]['name']}" if drift else ""
    says += f"; too small to show any change at their level: {len(small)}" if small else ""
    says += f"; empty, so nothing was tested: {len(empty)}" if empty else ""
    sampled = any(w["whole"] > w["n"] for w in windows)
    return says + (f"; * a sample of the rows, seed {told['seed']}" if sampled else "") + "."


def _feature(m: Mapping[str, Any]) -> list[str]:
    """A column that moved: where, how far, and by which questions."""
    many = "1 window" if m["windows"] == 1 else f"{m['windows']} windows, first"
    found = [f"  {m['column']}: in {many} {m['first']}".replace("1 window ", "1 window, ")]
    parts = [_effect(k, e) for k, e in m["effects"].items() if e["value"] == e["value"]]
    if parts:
        found.append(f"    {m['furthest']}: {'; '.join(parts)}")
    for q in m["questions"]:
        e = q["statistic"]
        name = STATISTICS.get(q["what"], "change of the share")
        found.append(f"    {q['window']}: {q['says']}")
        found.append(f"      {name} {_number(e)}; p = {q['p']:.2g}, n = {e['n']:,}")
    return found


def _effect(name: str, e: Mapping[str, Any]) -> str:
    if name == "stability_index":
        return f"stability index {_number(e)}"
    if e["unit"] == "share":
        return f"{_number(e)} of the rows changed their value"
    return f"moved by {_number(e)} standard deviations"


def _number(e: Mapping[str, Any]) -> str:
    ends = "" if e["low"] != e["low"] else f" [{e['low']:.2g}, {e['high']:.2g}]"
    return f"{e['value']:.2g}{ends}"
