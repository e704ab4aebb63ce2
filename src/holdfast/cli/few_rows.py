"""Whether those who are served worst have few rows to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from holdfast.cli.school import School

_FEW = 0.5  # of the rows that a class or group has on average


def slices(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every class and group that the last audit has judged, the worst first."""
    findings = [f for o in results["outcomes"] for f in o["findings"]]
    figures = [g for f in findings for g in f.get("figures", ()) if g["name"] == "slices"]
    return [dict(row) for figure in figures for row in figure["rows"]]


def uneven_groups(school: School) -> bool:
    """Whether groups are known and some of them has few rows."""
    group = school.learn.group
    return group is not None and bool((_few(group) & (group.bincount() > 0)).any())


def rare_class(school: School, results: Mapping[str, Any]) -> bool:
    """Whether the class that is served worst has few rows."""
    rows = school.learn
    if rows.y.dim() != 1 or rows.y.is_floating_point():
        return False
    worst = next((s["label"] for s in slices(results) if not is_group(s)), None)
    few = _few(rows.y, len(rows.classes))
    names = [*rows.classes, *map(str, range(len(rows.classes), len(few)))]
    return worst in {f"class {names[k]}" for k in few.nonzero().flatten().tolist()}


def is_group(row: Mapping[str, Any]) -> bool:
    """Whether a slice is a group of rows, not a class."""
    return str(row["label"]).startswith("group ")


def _few(labels: Tensor, count: int = 0) -> Tensor:
    """`(K,)`: which have less than half as many rows as those that have any have on average."""
    counts = labels[labels >= 0].bincount(minlength=count).double()
    few: Tensor = counts < _FEW * counts[counts > 0].mean()
    return few
