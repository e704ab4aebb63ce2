"""The preflight's questions about labels: accuracy, and the order of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.kinds import Model
from holdfast.core.records import Finding, Severity
from holdfast.ops.batch import Inputs
from holdfast.run.forward import correct
from holdfast.run.preflight_readings import GAIN, clearly_better, reading_findings
from holdfast.run.reading import proportion

ENOUGH = 10  # rows of a class from which never answering it is odd


def label_findings(
    model: Model,
    x: Inputs,
    y: Tensor,
    z: Tensor,
    batches: Batches,
    units: Sequence[Mapping[str, Any]] = (),
) -> list[Finding]:
    """Accuracy with its interval, and what would explain a low one.

    Args:
        model: the model.
        x: labelled rows.
        y: their labels.
        z: their logits.
        batches: the rows they were taken from.
        units: `low` and `high` of each column of a scaled table, in the units of its file.
    """
    if not len(y):
        return []
    right = correct(z, y)
    found = [_sound(right, batches)]
    share = float(right.double().mean())
    counts = y.bincount(minlength=z.shape[1])
    most = float(counts.max()) / len(y)
    if most < 1 and share <= most:
        name = _name(int(counts.argmax()), batches.classes)
        found.append(
            Finding(
                severity=Severity.WARNING,
                says=f"The model is right on {share:.1%} of the rows, no more than always "
                f"answering {name} ({most:.1%}).",
                advice="Check weights, normalisation and labels before anything else.",
            )
        )
    found += _silent_classes(z, counts, batches.classes)
    if share <= 1 - GAIN:
        found += permutation_findings(z, y, right)
        found += reading_findings(model, x, y, right, units)
    return found


def _name(label: int, classes: tuple[str, ...]) -> str:
    return classes[label] if label < len(classes) else str(label)


def _sound(right: Tensor, batches: Batches) -> Finding:
    reading = proportion("preflight.accuracy", int(right.sum()), len(right))
    x = batches.x
    shape = " of shape " + "x".join(map(str, x.shape[1:])) if isinstance(x, Tensor) else ""
    kinds = f"{len(batches.classes)} classes, " if batches.classes else ""
    return Finding(
        severity=Severity.GOOD,
        says=f"{kinds}{len(batches)} rows{shape}, clean accuracy {reading.value:.1%} "
        f"on {reading.n} of them.",
        readings=(reading,),
    )


def _silent_classes(z: Tensor, counts: Tensor, classes: tuple[str, ...]) -> list[Finding]:
    answers = z.argmax(1).bincount(minlength=z.shape[1])
    never = ((counts >= ENOUGH) & (answers == 0)).nonzero().flatten().tolist()
    if not never:
        return []
    names = ", ".join(_name(k, classes) for k in never[:5])
    return [
        Finding(
            severity=Severity.WARNING,
            says=f"The model never answers {names} on {int(counts.sum())} rows.",
            advice="Check the labels and the number of outputs.",
        )
    ]


def permutation_findings(z: Tensor, y: Tensor, right: Tensor) -> list[Finding]:
    """Whether the labels are numbered in another order than the model's outputs.

    The best assignment of outputs to labels is found on one half of the rows and tried on the
    other, both ways round, so that it cannot profit from chance.
    """
    from scipy.optimize import linear_sum_assignment

    k = z.shape[1]
    answer = z.argmax(1)
    even = torch.arange(len(y)) % 2 == 0
    after = torch.zeros_like(right)
    for fit in (even, ~even):
        table = torch.zeros(k, k, dtype=torch.float64)
        table.index_put_((answer[fit], y[fit]), torch.ones(1).double(), accumulate=True)
        to = torch.as_tensor(linear_sum_assignment(-table.numpy())[1])
        after[~fit] = to[answer[~fit]] == y[~fit]
    commonest = y == y.mode().values  # a model that always answers the same gains by luck of names
    if not clearly_better(right, after) or not clearly_better(commonest, after):
        return []
    before_share, after_share = (float(v.double().mean()) for v in (right, after))
    return [
        Finding(
            severity=Severity.WARNING,
            says=f"Labels look permuted: renumbered, accuracy would be {after_share:.1%} instead "
            f"of {before_share:.1%}.",
            advice="Number the classes as in training (folders are numbered in sorted order).",
            readings=(proportion("preflight.renumbered", int(after.sum()), len(after)),),
        )
    ]
