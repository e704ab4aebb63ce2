"""What a metric of robustness foretells beyond accuracy."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.errors import ShapeError
from holdfast.ops.ranking import ranks


def informativeness(metric: Tensor, accuracy: Tensor, transfer: Tensor) -> tuple[float, float]:
    """What a metric of robustness says of transfer beyond accuracy, over a set of models.

    Args:
        metric: `(M,)` of each model.
        accuracy: `(M,)` without any shift.
        transfer: `(M,)` what is to be foretold.

    Returns:
        The partial rank correlation of metric and transfer given accuracy, and by how much the
        share of explained variance of the ranks of transfer grows with the metric.

    Raises:
        ShapeError: for fewer than four models.
    """
    if len(metric) < 4 or metric.shape != accuracy.shape or metric.shape != transfer.shape:
        raise ShapeError(
            "informativeness: needs the same four models or more in each, got "
            f"{len(metric)}, {len(accuracy)} and {len(transfer)}",
            fix="Give three tensors (models,) of the same models in the same order.",
        )
    m, a, t = (r - r.mean() for r in (ranks(metric), ranks(accuracy), ranks(transfer)))

    def rest(v: Tensor) -> Tensor:
        return v - (v @ a) / (a @ a).clamp(min=1e-12) * a

    u, v = rest(m), rest(t)
    partial = float(u @ v / (u.norm() * v.norm()).clamp(min=1e-12))
    return partial, partial**2 * float(v @ v / (t @ t).clamp(min=1e-12))
