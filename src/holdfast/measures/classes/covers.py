"""From learners that need clean labels to others: try every labeling, keep the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from holdfast.core.errors import Unsupported

MOST = 200_000  # hypotheses


@dataclass(frozen=True, eq=False)
class Chosen:
    """The best hypothesis of a cover.

    Args:
        hypothesis: `(p,)` its parameters.
        error: its mean loss on the labelled rows.
        bound: above its expected loss with probability at least 1 - delta.
        size: hypotheses in the cover.
    """

    hypothesis: Tensor
    error: float
    bound: float
    size: int


def learning_to_cover(
    learner: Callable[[Tensor, Tensor], Tensor],
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    labelings: Tensor,
    unlabelled: Tensor,
    x: Tensor,
    y: Tensor,
    *,
    delta: float = 0.05,
) -> Chosen:
    """Runs a learner on every labeling that the class realises, and keeps what fits best.

    The best hypothesis of the class labels the unlabelled rows in one of these ways, without any
    noise; so the learner, which may know nothing of noise, finds one close to it, and choosing
    among finitely many by their loss on labelled rows costs `sqrt(log(size) / rows)`.

    Args:
        learner: (rows, labelings `(C, m)`) -> parameters `(C, p)`, one hypothesis per labeling.
        loss: (parameters, x, y) -> `(C, n)` losses in [0, 1]; any that may be averaged, a
            robust one included.
        labelings: `(C, m)` of the unlabelled rows.
        unlabelled: `(m, ...)` rows.
        x: `(n, ...)` labelled rows, none of them among the unlabelled ones.
        y: `(n,)` labels, as noisy as they are.
        delta: chance that the bound fails, by Hoeffding's inequality over the whole cover.

    Raises:
        Unsupported: for more labelings than are tried.
    """
    if len(labelings) > MOST:
        raise Unsupported(
            f"learning_to_cover: {len(labelings)} labelings, at most {MOST} are tried",
            fix="Use fewer unlabelled rows: their number enters as a power.",
        )
    cover = learner(unlabelled, labelings)
    errors = loss(cover, x, y).double().mean(1)
    best = int(errors.argmin())
    width = deviation(len(cover), len(x), delta)
    return Chosen(cover[best], float(errors[best]), float(errors[best]) + width, len(cover))


def deviation(size: int, rows: int, delta: float) -> float:
    """How far a mean over rows may lie from its expectation, for all of `size` hypotheses.

    Args:
        size: hypotheses.
        rows: over which losses in [0, 1] are averaged.
        delta: chance that one of them lies farther off.
    """
    return float(((log(size) + log(2 / delta)) / (2 * rows)) ** 0.5)


def thresholds(unlabelled: Tensor) -> Tensor:
    """`(m + 1, m)`: all labelings of numbers by `x >= t`."""
    order = unlabelled.argsort().argsort()
    return order[None] >= torch.arange(len(unlabelled) + 1)[:, None]


def intervals(unlabelled: Tensor) -> Tensor:
    """`(m (m + 1) / 2 + 1, m)`: all labelings of numbers by `a <= x < b`."""
    count = len(unlabelled)
    order = unlabelled.argsort().argsort()
    start, end = torch.triu_indices(count + 1, count + 1, offset=1)
    inside = (order >= start[:, None]) & (order < end[:, None])
    return torch.cat([torch.zeros(1, count, dtype=torch.bool), inside])
