"""The preflight's questions about labels: accuracy, their order, other readings of the data."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Finding, Severity
from holdfast.ops.batch import Inputs
from holdfast.run.forward import correct
from holdfast.run.reading import proportion

GAIN, CHANCE = 0.05, 1e-3  # another reading must gain so much, with such a p-value
ENOUGH = 10  # rows of a class from which never answering it is odd


def paired_p(before: Tensor, after: Tensor) -> float:
    """McNemar's exact test: how likely such a difference is between two equally good answers.

    Args:
        before: `(B,)` bool, right before.
        after: `(B,)` bool, right after.
    """
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    n = lost + won
    tail = sum(comb(n, k) for k in range(min(lost, won) + 1))
    return min(1.0, float(2 * tail / 2**n))


def clearly_better(before: Tensor, after: Tensor) -> bool:
    """Whether answers gain at least 5 points with p < 1e-3 on the same rows."""
    gain = float(after.double().mean() - before.double().mean())
    return gain >= GAIN and paired_p(before, after) < CHANCE


def label_findings(
    model: Model, x: Inputs, y: Tensor, z: Tensor, batches: Batches
) -> list[Finding]:
    """Accuracy with its interval, and what would explain a low one.

    Args:
        model: the model.
        x: labelled rows.
        y: their labels.
        z: their logits.
        batches: the rows they were taken from.
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
        found += reading_findings(model, x, y, right)
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
    if not clearly_better(right, after):
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


def _listed(values: Tensor) -> str:
    return ",".join(f"{v:.4g}" for v in values.flatten().tolist())


def other_readings(x: Tensor) -> Iterator[tuple[str, Tensor, str]]:
    """Ways in which the model may have wanted the rows: name, rows, what would repair it."""
    most, least = float(x.max()), float(x.min())
    if most > 1.5 and least >= 0:
        yield "divided by 255", x / 255, "Divide the data by 255."
    if x.dim() == 4:
        axes = (0, 2, 3)
        mean, std = x.mean(axes, keepdim=True), x.std(axes, keepdim=True).clamp(min=1e-6)
        says = f"Say --mean {_listed(mean)} --std {_listed(std)}"
        yield "standardised per channel", (x - mean) / std, says
        if x.shape[1] == 3:
            yield "as BGR", x.flip(1), "Swap the channels in the model: x.flip(1)."
        if x.shape[2] == x.shape[3]:
            yield "with height and width swapped", x.transpose(2, 3), "Turn the pictures."
    elif x.dim() == 2:
        mean, std = x.mean(0), x.std(0).clamp(min=1e-6)
        yield "standardised per column", (x - mean) / std, "Standardise inside the model."
    if least >= 0 and most <= 1.5:
        yield "in [0, 255]", x * 255, "Say --mean 0 --std 0.00392157"
        yield "in [-1, 1]", 2 * x - 1, "Say --mean 0.5 --std 0.5"


def reading_findings(model: Model, x: Inputs, y: Tensor, right: Tensor) -> list[Finding]:
    """The best other reading of the data, if it is clearly better."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or not len(x):
        return []
    best: tuple[int, str, str, Tensor] | None = None
    for name, changed, advice in other_readings(x):
        with quiet(model), torch.no_grad():
            try:
                after = correct(logits(model(changed)).detach().cpu(), y)
            except RuntimeError:
                continue
        if clearly_better(right, after) and (best is None or int(after.sum()) > best[0]):
            best = (int(after.sum()), name, advice, after)
    if best is None:
        return []
    count, name, advice, _ = best
    share = float(right.double().mean())
    return [
        Finding(
            severity=Severity.WARNING,
            says=f"Read {name}, the rows are answered right in {count / len(y):.1%} of cases "
            f"instead of {share:.1%}: the model seems to expect that.",
            advice=advice,
            readings=(proportion("preflight.reread", count, len(y)),),
        )
    ]
