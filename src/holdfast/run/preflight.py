"""The preflight: is the question itself sound? Asked in seconds, before any attack runs.

Nothing here depends on the speed of the machine: how many rows are looked at follows from the
arithmetic of the model, so that a report is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.core.records import Finding, Severity, Subject
from holdfast.ops.batch import Inputs, rows, take
from holdfast.run.preflight_data import data_findings
from holdfast.run.preflight_labels import label_findings
from holdfast.run.preflight_model import (
    channels_last,
    gradient_findings,
    mode_findings,
    output_findings,
)

MOST_ROWS, LEAST_ROWS = 256, 32
OPERATIONS = 8e9  # per pass over the rows that are looked at: a fraction of a second on two cores


@dataclass(frozen=True)
class Forecast:
    """What an audit will cost on this machine; it goes on the screen, never into results.

    Args:
        forward: seconds per row through the model.
        backward: seconds per row there and back.
        memory: bytes per row kept for the way back.
    """

    forward: float
    backward: float
    memory: int


def preflight(subject: Subject) -> list[Finding]:
    """What is wrong, or odd, about model and data before anything is measured.

    Looks at the form of the outputs, training mode, determinism, gradients, the range of the
    inputs, labels, other readings of the data and duplicate rows. A sound subject gets only
    findings of severity INFO and GOOD.

    Args:
        subject: with a model and rows; without either there is nothing to ask.

    Returns:
        Findings, the worst first.

    Cost: at most 256 rows, about 4 passes of them; up to 12 where accuracy is below 95 %.
    """
    if subject.model is None or subject.batches is None or not len(subject.batches):
        return []
    found = data_findings(subject)
    if reading := subject.about.get("reading"):
        found.append(Finding(severity=Severity.INFO, says=str(reading)))
    found += _model_findings(subject.model, subject.batches, subject.about.get("units", ()))
    return sorted(found, key=lambda f: -f.severity)


def _model_findings(
    model: Model, batches: Batches, units: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    try:
        chosen = looked_at(model, batches)
        x, y = take(batches.x, chosen), batches.y[chosen]
        with quiet(model), torch.no_grad():
            z, again = (logits(model(x)).detach().cpu() for _ in range(2))
    except Exception as error:  # whatever the user's code raises is an answer here
        return [_does_not_run(model, batches.x, error)]
    found = mode_findings(model)
    found += output_findings(model, x, y, z, again)
    if any(f.severity == Severity.FAILURE for f in found):
        return found
    known = y != UNLABELLED
    found += gradient_findings(model, x, y)
    return found + label_findings(model, take(x, known), y[known], z[known], batches, units)


def looked_at(model: Model, batches: Batches) -> Tensor:
    """Positions of the rows that are looked at: evenly spread, fewer for costly models."""
    first = take(batches.x, slice(0, 2))
    per_row = operations(model, first) / rows(first)
    count = int(min(MOST_ROWS, max(LEAST_ROWS, OPERATIONS / max(per_row, 1)), len(batches)))
    return torch.linspace(0, len(batches) - 1, count).round().long()


def operations(model: Model, x: Inputs) -> int:
    """Multiplications of the layers with weights in one pass, counted, not timed."""
    total = 0

    def note(layer: nn.Module, given: object, out: object) -> None:
        nonlocal total
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and isinstance(out, Tensor) and weight.dim() > 1:
            total += out.numel() * weight[0].numel()

    layers = {s for m in modules_of(model) for s in m.modules()}
    traced = [s for s in layers if not isinstance(s, torch.jit.ScriptModule)]
    hooks = [s.register_forward_hook(note) for s in traced]
    try:
        with quiet(model), torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _does_not_run(model: Model, x: Inputs, error: Exception) -> Finding:
    """The model cannot take the rows; says so if it can take them with channels last."""
    text = str(error).strip().partition("\n")[0][:200]
    shape = tuple(x.shape[1:]) if isinstance(x, Tensor) else ""
    if isinstance(x, Tensor) and channels_last(model, x):
        return Finding(
            severity=Severity.FAILURE,
            says=f"The model wants pictures with channels last, the rows have shape {shape}.",
            advice="Begin forward with x = x.permute(0, 2, 3, 1).",
        )
    return Finding(
        severity=Severity.FAILURE,
        says=f"The model does not take rows of shape {shape}: {type(error).__name__}: {text}",
        advice="Check that model and data belong together.",
    )


def forecast(subject: Subject, count: int = 32) -> Forecast:
    """Seconds and memory per row on this machine, measured on a few rows.

    Args:
        subject: with a model and rows.
        count: rows that are timed.

    Returns:
        Zeros where there is nothing to time; no way back counts like two ways there.
    """
    if subject.model is None or subject.batches is None or not len(subject.batches):
        return Forecast(0.0, 0.0, 0)
    model, x = subject.model, take(subject.batches.x, slice(0, count))
    n = rows(x)
    kept = 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with quiet(model):
        with torch.no_grad():
            model(take(x, slice(0, 1)))
            begin = perf_counter()
            model(x)
            there = (perf_counter() - begin) / n
        both = 3 * there
        if isinstance(x, Tensor) and x.is_floating_point():
            begin = perf_counter()
            with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
                z = logits(model(x.clone().requires_grad_()))
                if z.requires_grad:
                    z.sum().backward()
                    both = (perf_counter() - begin) / n
    fixed = sum(p.numel() * p.element_size() for m in modules_of(model) for p in m.parameters())
    return Forecast(there, both, max(kept - fixed, 0) // n)
