"""Error in which every class counts alike, and corruption errors that are made from it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Outputs
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.run.reading import average, proportion

LEAST = 0.01  # what the reference must lose for a relative error to mean anything


@register("measure", cites="medmnist-c", says="Error in which every class counts alike.")
def balanced_error(
    outputs: Outputs, y: Tensor, *, alpha: float = 0.05, seed: int = 0, name: str = "balanced_error"
) -> Reading:
    """One minus the balanced accuracy: the mean over classes of the share of wrong answers.

    It is the mean over rows of `wrong * rows / (classes * rows of the class)`, and its interval
    resamples those. Classes without rows do not count.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        alpha: the interval covers with probability about 1 - alpha.
        seed: of the bootstrap.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
    """
    rows = labelled(outputs, y)
    if not len(rows.y):
        return replace(proportion(name, 0, 0, better="lower"), flags=rows.flags)
    counts = torch.bincount(rows.y)
    share = len(rows.y) / (counts > 0).sum().double() / counts[rows.y]
    values = (~rows.correct).double() * share
    found = average(name, values, better="lower", seed=seed, alpha=alpha, flags=rows.flags)
    value = min(found.value, 1.0)  # rounding
    return replace(found, value=value, low=max(min(found.low, value), 0.0),
                   high=min(max(found.high, value), 1.0))  # fmt: skip


def balanced_error_of_labels(chosen: Tensor, y: Tensor) -> float:
    """The mean over labels of one minus their balanced accuracy, where rows have several.

    Args:
        chosen: `(B, L)` bool, labels that the model gives.
        y: `(B, L)` bool, labels that are true; those that are always or never so do not count.

    Raises:
        ShapeError: if the two do not fit, or no label counts.
    """
    if chosen.shape != y.shape or chosen.dim() != 2:
        raise ShapeError(
            "balanced_error_of_labels: labels must be (B, L) on both sides, got chosen "
            f"{tuple(chosen.shape)}, true {tuple(y.shape)}",
            fix="Give chosen and y as tables (rows, labels) of one shape.",
        )
    yes, no = y.bool().sum(0), (~y.bool()).sum(0)
    counted = (yes > 0) & (no > 0)
    if not bool(counted.any()):
        raise ShapeError(
            "balanced_error_of_labels: no label is true of some rows and not of others",
            fix="Give rows of which some have a label that others have not.",
        )
    hit = (chosen.bool() & y.bool()).sum(0) / yes.clamp(min=1)
    left = (~chosen.bool() & ~y.bool()).sum(0) / no.clamp(min=1)
    return float(1 - ((hit + left) / 2)[counted].double().mean())


def relative_to(errors: Tensor, reference: Tensor) -> float:
    """Mean error over the levels of a corruption over that of a reference model (BE)."""
    return float(errors.double().mean() / reference.double().mean())


def excess_relative_to(
    errors: Tensor, clean: float, reference: Tensor, reference_clean: float
) -> float:
    """What a corruption costs over what it costs a reference model (rBE).

    NaN where the reference loses less than a point: the quotient would say nothing.

    Args:
        errors: by level.
        clean: without corruption.
        reference: errors of the reference by level.
        reference_clean: its error without corruption.
    """
    lost = float(reference.double().mean()) - reference_clean
    return (float(errors.double().mean()) - clean) / lost if lost >= LEAST else float("nan")
