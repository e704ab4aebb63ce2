"""Whether a window of a stream still has the form of the reference."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from holdfast.measures.data.columns import Array, Known, Window, blank, coded, parsed

NAMED = 3


def broken(
    before: Mapping[str, Known], window: Window, optional: Collection[str]
) -> tuple[list[str], list[str]]:  # fmt: skip
    """What breaks the form of the reference, and what only adds to it."""
    changed = [
        f"column {name!r} is missing"
        for name in before
        if name not in window.columns and name not in optional
    ]
    for name, column in window.columns.items():
        if name in before and before[name].kind == "number":
            numbers, texts = parsed(column)
            if texts.any() and np.isnan(numbers).all():
                first = str(column[texts][0])[:40]
                changed.append(f"column {name!r} holds texts, as {first!r}; numbers before")
    if window.damaged:
        changed.append(f"{window.damaged} rows do not have one field for every column")
    new = [name for name in window.columns if name not in before and name not in optional]
    notes = [f"new columns, not compared: {_some(new)}"] if new else []
    return changed, notes


def noted(before: Mapping[str, Known], there: Mapping[str, Array]) -> list[str]:
    """What a reader should know of columns that are there: gaps, new values, wild numbers."""
    notes = []
    for name, column in there.items():
        old, gaps = before[name], int(blank(column).sum())
        if gaps == len(column) and len(old.there):
            was = f"{100 * old.missing / old.n:.3g}%"
            notes.append(f"{name}: no value in any of {gaps} rows; {was} of the rows before")
        if old.kind == "values":
            values = coded(column, old)
            unknown = values[~np.isin(values, old.there)]
            if len(unknown):
                notes.append(f"{name}: new values {_some(sorted(set(map(str, unknown))))} "
                             f"in {len(unknown)} of {len(column)} rows")  # fmt: skip
        elif old.kind == "number" and len(old.there):
            notes += _numbers(column, old)
    return notes


def _numbers(column: Array, old: Known) -> list[str]:
    """Texts among numbers, and numbers further outside the range than the range is wide."""
    numbers, texts = parsed(column)
    count, notes = int(texts.sum()), []
    if 0 < count < len(column):
        some = _some(sorted({str(v) for v in column[texts]}))
        notes.append(f"{old.name}: texts in place of numbers, {some}, in {count} rows")
    low, high = float(old.there[0]), float(old.there[-1])
    wide = high - low
    out = numbers[(numbers < low - wide) | (numbers > high + wide)]
    if len(out) and wide > 0:
        worst = max(out, key=lambda v: max(low - v, v - high))
        notes.append(f"{old.name}: {len(out)} of {len(numbers)} values far outside "
                     f"[{low:.4g}, {high:.4g}], as {worst:.4g}")  # fmt: skip
    return notes


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(n[:40]) for n in names[:NAMED])
    more = len(names) - NAMED
    return shown + (f" and {more} more" if more > 0 else "")
