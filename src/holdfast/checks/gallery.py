"""Show me: the rows that were believed most and broke."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from holdfast.checks.pictures import difference, is_image, png
from holdfast.core.data import Batches
from holdfast.core.goal import Untargeted, logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.records import Cell, Figure, Finding, Severity

FLAT = 2  # dimensions of the rows of a table


def gallery(
    model: Model,
    batches: Batches,
    change: Tensor,
    margin: Tensor,
    threat: Threat,
    by: list[str],
    size: Tensor,
    units: object = None,
    count: int = 6,
) -> Iterator[Finding]:
    """One finding with pictures (or columns) of the broken rows that were surest before.

    Rows that were wrong without any change are left out. Cost: two forwards per broken row.

    Args:
        model: the function under test.
        batches: its rows.
        change: the best change of each row, rows first.
        margin: `(B,)` margin under it; at least 0 means broken.
        threat: whose changes they are.
        by: the attack that broke each row.
        size: `(B,)` size of the smallest winning change, in radii.
        units: `column`, `low` and `high` of each column, where rows are those of a table.
        count: at most so many rows.
    """
    x = batches.x
    broken = (~(margin < 0)).nonzero().flatten()
    if not isinstance(x, Tensor) or not len(broken):
        return
    with quiet(model), torch.no_grad():
        clean = logits(model(x[broken])).cpu()
        moved = logits(threat.take(broken).through(model, x[broken], change[broken])).cpu()
    before = Untargeted(batches.y[broken])(clean)
    order = before.argsort()
    order = order[before[order] < 0][:count]
    if not len(order):
        return
    rows: list[dict[str, Cell]] = []
    for i in order.tolist():
        row = int(broken[i])
        after = threat.take(broken[i : i + 1]).apply(x[row : row + 1], change[row : row + 1])
        what = f"{_class(batches, clean[i])} → {_class(batches, moved[i])}"
        at, who = int(batches.index[row]), by[row].partition(":")[2] or by[row]
        where = _needed(threat, float(size[row]))
        line: dict[str, Cell]
        if x.dim() == FLAT and after.dim() == FLAT:
            line = {"answer": what, "row": at, "breaks at": where or None, "found by": who}
            line["largest changes"] = _columns(x[row], after[0], units)
        else:
            said = f"breaks at {where}, " if where else ""
            line = {"title": what, "caption": f"row {at}, {said}found by {who}"}
        if is_image(x) and after.shape == x[row : row + 1].shape:
            line |= {
                "image": png(x[row]),
                "changed": png(after[0]),
                "difference": difference(x[row], after[0]),
            }
        rows.append(line)
    says = f"The surest right answers that a change within {threat.spec} turns."
    yield Finding(
        severity=Severity.INFO,
        says=says,
        rows=tuple(int(batches.index[broken[i]]) for i in order),
        figures=(
            Figure(
                name=f"failures-{threat.spec}",
                kind="gallery",
                title=f"Worst failures, {threat.spec}",
                says=says,
                rows=tuple(rows),
            ),
        ),
    )


def _columns(before: Tensor, after: Tensor, units: object, most: int = 3) -> str:
    """The columns that moved most, in their own units where these are known."""
    known = list(units) if isinstance(units, list | tuple) and len(units) == len(before) else []
    words = []
    for k in (after - before).abs().argsort(descending=True)[:most].tolist():
        low, high, name = 0.0, 1.0, f"column {k}"
        if known:
            low, high, name = known[k]["low"], known[k]["high"], known[k]["column"]
        old, new = (low + float(v[k]) * (high - low) for v in (before, after))
        words.append(f"{name} {old:.4g} → {new:.4g}")
    return "; ".join(words)


def _needed(threat: Threat, size: float) -> str:
    """The radius at which the row already breaks, in the unit of the threat."""
    radius = getattr(threat, "radius", None)
    if radius is None or not 0 < size <= 1:  # NaN included
        return ""
    name, _, written = threat.spec.partition(":")
    part = f"{255 * radius * size:.1f}/255" if written.endswith("/255") else f"{radius * size:.3g}"
    return f"{name} {part}"


def _class(batches: Batches, logit: Tensor) -> str:
    k = int(logit.argmax())
    return batches.classes[k] if k < len(batches.classes) else str(k)
