"""The preflight's question whether the model wanted the rows in another form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import comb
from typing import Any

import torch
from torch import Tensor

from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Finding, Severity
from holdfast.ops.batch import Inputs
from holdfast.run.forward import correct
from holdfast.run.reading import proportion

GAIN, CHANCE = 0.05, 1e-3  # another reading must gain so much, with such a p-value


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


def _listed(values: Tensor) -> str:
    return ",".join(f"{v:.4g}" for v in values.flatten().tolist())


def other_readings(
    x: Tensor, units: Sequence[Mapping[str, Any]] = ()
) -> Iterator[tuple[str, Tensor, str]]:
    """Ways in which the model may have wanted the rows: name, rows, what would repair it."""
    if x.dim() == 2:
        yield from _of_tables(x, units)
        return
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
    if least >= 0 and most <= 1.5:
        yield "in [0, 255]", x * 255, "Say --mean 0 --std 0.00392157"
        yield "in [-1, 1]", 2 * x - 1, "Say --mean 0.5 --std 0.5"


def _of_tables(x: Tensor, units: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Tensor, str]]:
    """The same for tables: what the model itself gets to see is exchanged, behind the units."""
    low = x.new_tensor([float(u["low"]) for u in units] or [0.0])
    width = x.new_tensor([float(u["high"]) for u in units] or [1.0]) - low
    own = low + width * x  # the columns in the units of the file, as the model gets them
    mean, std = own.mean(0), own.std(0).clamp(min=1e-6)
    says = "Begin forward with (x - mean) / std, the numbers of the training data."
    yield "standardised per column", ((own - mean) / std - low) / width, says
    least = own.amin(0)
    span = (own.amax(0) - least).clamp(min=1e-6)
    says = "Begin forward with (x - low) / (high - low), the numbers of the training data."
    yield "scaled to [0, 1] per column", ((own - least) / span - low) / width, says


def reading_findings(
    model: Model,
    x: Inputs,
    y: Tensor,
    right: Tensor,
    units: Sequence[Mapping[str, Any]] = (),
) -> list[Finding]:
    """The best other reading of the data, if it is clearly better."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or not len(x):
        return []
    best: tuple[int, str, str, Tensor] | None = None
    for name, changed, advice in other_readings(x, units):
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
