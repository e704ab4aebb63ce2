"""Proper scores: smallest in the mean for the true probabilities."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.goal import Outputs
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.run.reading import average


def _score(
    outputs: Outputs,
    y: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    name: str,
    unit: str,
    alpha: float,
    seed: int,
) -> Reading:
    rows = labelled(outputs, y)
    kept = rows.kept()
    if len(kept.y) == 0:
        return Reading(
            name=name, value=float("nan"), low=0.0, high=float("inf"), n=0, better="lower",
            unit=unit, flags=rows.flags,
        )  # fmt: skip
    return average(
        name, loss(kept.z, kept.y), better="lower", unit=unit, alpha=alpha, seed=seed,
        flags=rows.flags,
    )  # fmt: skip


@register("measure", cites="calibration-baseline")
def brier(
    outputs: Outputs,
    y: Tensor,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "calibration.brier",
) -> Reading:
    """Brier score: squared distance between the probabilities and the label, summed over classes.

    It lies in [0, 2] and is smallest in the mean for the true probabilities.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        alpha: the bootstrap interval aims at a coverage of 1 - alpha.
        seed: of the bootstrap.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
    """

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return (z.softmax(1) - F.one_hot(y, z.shape[1])).square().sum(1)

    return _score(outputs, y, loss, name, "squared distance", alpha, seed)


@register("measure", cites="calibration-baseline")
def nll(
    outputs: Outputs,
    y: Tensor,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "calibration.nll",
) -> Reading:
    """Negative log-likelihood: mean cross-entropy of the label, in nats.

    It is smallest in the mean for the true probabilities and punishes confident mistakes
    without bound.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        alpha: the bootstrap interval aims at a coverage of 1 - alpha.
        seed: of the bootstrap.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
    """

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z, y, reduction="none")

    return _score(outputs, y, loss, name, "nats", alpha, seed)
