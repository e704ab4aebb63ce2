"""Radii of tables, whose columns are scaled to [0, 1]: a radius is a share of their ranges."""

from __future__ import annotations

from holdfast.report.document import Document, mapping, mappings, number, text

_BALLS = ("linf", "l2", "l1")


def ranges(results: Document) -> list[tuple[str, float, float]]:
    """Name, least and largest value of each column; empty where inputs are no table."""
    made = []
    for column in mappings(mapping(results.get("subject")).get("units")):
        low, high = number(column.get("low")), number(column.get("high"))
        if low is not None and high is not None:
            made.append((text(column.get("column"), 80), low, high))
    return made


def radius(threat: str) -> float | None:
    """The radius of a norm ball in the common grammar (`linf:8/255`), None for anything else."""
    name, _, rest = threat.partition(":")
    top, _, bottom = rest.partition(":")[0].partition("/")
    if name not in _BALLS:
        return None
    try:
        return float(top) / float(bottom or 1)
    except (ValueError, ZeroDivisionError):
        return None


def words(results: Document, threat: str) -> str:
    """What a norm ball allows, in plain words; empty for other threats."""
    size, name = radius(threat), threat.partition(":")[0]
    if size is None:
        return ""
    part = f"{100 * size:.3g}%"
    if ranges(results):
        which = "every column's" if name == "linf" else "one column's"
        return f"up to {part} of {which} range"
    if name == "linf":
        return f"up to {part} per value"
    return f"{'Euclidean length' if name == 'l2' else 'sum'} of all changes up to {size:.3g}"
