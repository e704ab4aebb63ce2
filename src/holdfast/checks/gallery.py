"""Show me: the rows that were believed most and broke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from holdfast.checks.pictures import difference, is_image, png
from holdfast.core.data import Batches
from holdfast.core.goal import Untargeted, logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.records import Cell, Figure, Finding, Severity

SUM = 1e-3  # how far the sum of probabilities may be from 1


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
    """One finding with pictures (or texts, or columns) of the broken rows that were surest before.

    Rows that were wrong without any change are left out. Cost: two forwards per broken row.

    Args:
        model: the function under test.
        batches: its rows.
        change: the best change of each row, rows first.
        margin: `(B,)` margin under it; at least 0 means broken.
        threat: whose changes they are.
        by: the stage of the attack that broke each row.
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
    rows = []
    for i in order.tolist():
        row = int(broken[i])
        after = threat.take(broken[i : i + 1]).apply(x[row : row + 1], change[row : row + 1])
        shown = _shown(model, x[row], after[0], threat, units)
        line = _about(batches, clean[i], moved[i]) | {"row": int(batches.index[row])}
        line |= {"breaks at": _needed(threat, float(size[row])) or None, "found by": _who(by[row])}
        if 0 < float(size[row]) <= 1:
            line["of the radius (share)"] = float(size[row])
        rows.append(line | shown)
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


def _shown(
    model: Model, before: Tensor, after: Tensor, threat: Threat, units: object
) -> dict[str, Cell]:
    """A row before and after: pictures, texts, or the columns that moved most."""
    words: Any = getattr(model, "words", None)
    if callable(getattr(words, "texts", None)) and not before.is_floating_point():
        old, new = words.texts(torch.stack([before, after.to(before)]))
        return {"text": old, "changed text": new}
    if before.shape != after.shape:
        return {}
    if is_image(before[None]):
        low, high = threat.low, threat.high
        image, changed = (png(v, low=low, high=high) for v in (before, after))
        if torch.equal(before, after):  # what changed is in the model
            return {"image": image}
        apart, gain = difference(before, after, low, high)
        return {"image": image, "changed": changed, "difference": apart, "gain": gain}
    return {"largest changes": _columns(before, after, units)} if before.dim() == 1 else {}


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


def _about(batches: Batches, clean: Tensor, moved: Tensor) -> dict[str, Cell]:
    """Both answers, and how sure the model is of each."""
    made: dict[str, Cell] = {}
    for key, logit in (("before", clean), ("after", moved)):
        sure = f"{100 * _sure(logit):.0f}%" if bool(logit.isfinite().all()) else "not finite"
        made[key] = f"{_class(batches, logit)}, {sure}"
    return made


def _sure(logit: Tensor) -> float:
    """The probability of the answer; outputs that are probabilities are taken as they are."""
    z = logit.double()
    known = bool((z >= 0).all()) and abs(float(z.sum()) - 1) < SUM
    return float((z if known else z.softmax(0)).max())


def _who(name: str) -> str:
    """The stage that broke a row, without its kind."""
    return name.removeprefix("attack:") or "nobody"


def _needed(threat: Threat, size: float) -> str:
    """The radius at which the row already breaks, in the unit of the threat."""
    radius, degrees = getattr(threat, "radius", None), getattr(threat, "degrees", None)
    if not 0 < size <= 1:  # NaN included
        return ""
    if radius is None:
        return f"{degrees * size:.3g} degrees" if degrees is not None else ""
    name, _, written = threat.spec.partition(":")
    part = f"{255 * radius * size:.1f}/255" if written.endswith("/255") else f"{radius * size:.3g}"
    return f"{name} {part}"


def _class(batches: Batches, logit: Tensor) -> str:
    k = int(logit.argmax())
    return batches.classes[k] if k < len(batches.classes) else str(k)
