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


def gallery(
    model: Model,
    batches: Batches,
    change: Tensor,
    margin: Tensor,
    threat: Threat,
    by: list[str],
    count: int = 6,
) -> Iterator[Finding]:
    """One finding with pictures (or values) of the broken rows that were surest before.

    Rows that were wrong without any change are left out. Cost: two forwards per broken row.
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
        line: dict[str, Cell] = {
            "title": f"{_class(batches, clean[i])} -> {_class(batches, moved[i])}",
            "caption": f"row {int(batches.index[row])}, margin before {-float(before[i]):.3g}, "
            f"found by {by[row]}",
        }
        if is_image(x) and after.shape == x[row : row + 1].shape:
            line |= {
                "image": png(x[row]),
                "changed": png(after[0]),
                "difference": difference(x[row], after[0]),
            }
        rows.append(line)
    says = f"The {len(rows)} surest answers that an admissible change within {threat.spec} turns."
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


def _class(batches: Batches, logit: Tensor) -> str:
    k = int(logit.argmax())
    return batches.classes[k] if k < len(batches.classes) else str(k)
