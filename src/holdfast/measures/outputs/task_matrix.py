"""The classical numbers of learning task after task, from a matrix of accuracies."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.errors import ShapeError


def matrix_metrics(accuracy: Tensor, before: Tensor | None = None) -> dict[str, float]:
    """Mean accuracy, backward and forward transfer, and forgetting, from accuracies in a matrix.

    Args:
        accuracy: `(T, T)` of task j (column) after learning task i (row).
        before: `(T,)` accuracies without any learning, for forward transfer.

    Raises:
        ShapeError: unless it is a square matrix of at least two tasks.
    """
    a = accuracy.double()
    t = len(a)
    if a.shape != (t, t) or t < 2:
        raise ShapeError(
            f"matrix_metrics: needs (T, T) of two tasks or more, got {tuple(a.shape)}",
            fix="Give a square table: row i after task i, column j on task j.",
        )
    last, own = a[-1, :-1], a.diagonal()[:-1]
    found = {
        "accuracy": float(a[-1].mean()),
        "backward": float((last - own).mean()),
        "forgetting": float((a[:-1, :-1].amax(0) - last).mean()),
    }
    if before is not None:
        found["forward"] = float((a.diagonal(1) - before.double()[1:]).mean())
    return found
