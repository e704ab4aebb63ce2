"""The angle of a net's boundary at each row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.ops.derivative import gradient
from holdfast.ops.statistics import quantile_interval


@dataclass(frozen=True, eq=False)
class LocalTilt:
    """The angle of a net's boundary at each row.

    Args:
        angle: `(B,)` degrees between the margin's gradient and the way between the means of the
            row's two top classes; NaN where either is missing.
        median: over the rows that have one.
    """

    angle: Tensor
    median: Reading

    def readings(self) -> tuple[Reading, ...]:
        """The median angle."""
        return (self.median,)


@register("measure", cites="boundary-tilting")
def local_tilt(
    model: Model, batches: Batches, *, alpha: float = 0.05, name: str = "tilting.local"
) -> LocalTilt:
    """Angle between a net's nearest boundary and the way between the means of two classes.

    At each row the normal is the gradient of the gap between its two largest logits, and the way
    that between the means of these two classes. 0 degrees: the boundary of the nearest mean. For
    a linear model it is the angle of its plane.

    Args:
        model: inputs -> logits first.
        batches: labelled rows, from which the class means come too.
        alpha: the interval covers with probability at least 1 - alpha.
        name: of the reading.

    Raises:
        Unsupported: without rows that have an angle, or if the inputs are not one tensor.

    Cost: one forward and one backward pass per row.
    """
    flat = one_tensor(batches.x, name).detach().double().flatten(1)
    y = batches.y.to(flat.device)
    count = int(y.max()) + 1 if len(y) and int(y.max()) >= 0 else 0
    means = torch.stack([flat[y == k].mean(0) for k in range(count)] or [flat.sum(0) * torch.nan])
    parts = [torch.empty(0, dtype=torch.float64)]
    with quiet(model):
        for batch in batches:
            x = batch.x
            if not isinstance(x, Tensor):
                continue
            with torch.no_grad():
                top = logits(model(x)).topk(2, 1).indices

            def gap(rows: Tensor, top: Tensor = top) -> Tensor:
                best = logits(model(rows)).gather(1, top)
                return best[:, 0] - best[:, 1]

            normal = gradient(gap, x).double().flatten(1)
            known = (top < count).all(1)
            first, second = top.clamp(max=max(count - 1, 0)).T
            way, length = means[first] - means[second], normal.norm(dim=1)
            cosine = ((normal * way).sum(1) / (length * way.norm(dim=1))).abs()
            angle = cosine.clamp(max=1).arccos().rad2deg()
            found = known & (length > 0)
            parts.append(torch.where(found, angle, torch.nan).cpu())
    angle = torch.cat(parts)
    kept = angle[angle.isfinite()]
    if not len(kept):
        raise Unsupported(
            f"{name}: no row has a gradient and two known class means",
            fix="Give rows with labels of two classes or more, and a model that passes gradients.",
        )
    value = float(kept.median())
    low, high = quantile_interval(kept, 0.5, alpha)
    median = Reading(name=name, value=value, low=min(max(low, 0.0), value),
                     high=max(min(high, 90.0), value), n=len(kept), unit="degrees",
                     better="lower")  # fmt: skip
    return LocalTilt(angle, median)
