"""The preflight's questions about the model: outputs, training mode, determinism, gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.core.data import UNLABELLED
from holdfast.core.goal import Untargeted, logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.core.records import Finding, Severity
from holdfast.ops.batch import Inputs, rows, take

SAME = 1e-4  # of the largest logit: more than the order of summation explains
BLIND = 0.5  # share of rows without gradient from which gradient attacks are blind

Training = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


def mode_findings(model: Model) -> list[Finding]:
    """Layers that answer differently because the model is in training mode."""
    kinds = {
        type(part).__name__
        for module in modules_of(model)
        for part in module.modules()
        if isinstance(part, Training) and part.training
    }
    if not kinds:
        return []
    return [
        Finding(
            severity=Severity.FAILURE,
            says=f"The model is in training mode: {', '.join(sorted(kinds))} then answer "
            "differently from call to call or from batch to batch.",
            advice="Call model.eval() before the audit.",
        )
    ]


def _form(z: Tensor, y: Tensor) -> tuple[str, str]:
    """What is wrong with the shape of the outputs, and what to do; empty if nothing is."""
    if z.dim() != 2 or len(z) != len(y):
        says = f"The model returns shape {tuple(z.shape)} for {len(y)} rows, not (rows, classes)."
        return says, "Return logits (rows, classes)."
    if z.shape[1] == 1:
        says = "The model returns one number per row; two classes need two logits."
        return says, "Return torch.cat([-z, z], 1) / 2."
    if len(y) and int(y.max()) >= z.shape[1]:
        says = f"Labels go up to {int(y.max())}, but the model knows {z.shape[1]} classes."
        return says, "Number the classes from 0, or take a model with more outputs."
    return "", ""


def _failure(says: str, advice: str) -> Finding:
    return Finding(severity=Severity.FAILURE, says=says, advice=advice)


def _warning(says: str, advice: str) -> Finding:
    return Finding(severity=Severity.WARNING, says=says, advice=advice)


def output_findings(model: Model, x: Inputs, y: Tensor, z: Tensor, again: Tensor) -> list[Finding]:
    """Shape and finiteness of the outputs, probabilities, and whether they repeat.

    Args:
        model: the model.
        x: rows.
        y: their labels.
        z: outputs of the rows.
        again: outputs of the same rows, computed a second time.
    """
    wrong, advice = _form(z, y)
    if wrong:
        return [_failure(wrong, advice)]
    if not bool(z.isfinite().all()):
        count = int((~z.isfinite().all(1)).sum())
        return [
            _failure(
                f"The model answers with NaN or infinity on {count} of {len(z)} unchanged rows.",
                "Check weights and normalisation.",
            )
        ]
    found = []
    if bool((z >= 0).all()) and bool(((z.sum(1) - 1).abs() < 1e-3).all()):
        found.append(
            _warning(
                "The model returns probabilities, not logits: where they saturate, gradients "
                "vanish and attacks look weaker than they are.",
                "Remove the softmax at the end of the model.",
            )
        )
    scale = float(z.abs().max()) + 1e-12
    off = float((z - again).abs().max()) / scale
    if off > 0:
        return [
            *found,
            _warning(
                f"Two passes over the same rows differ by up to {off:.2g} of the largest output: "
                "the model draws random numbers.",
                "Remove the randomness, or audit the average of several passes.",
            ),
        ]
    return found + _lonely(model, x, z, scale)


def _lonely(model: Model, x: Inputs, z: Tensor, scale: float) -> list[Finding]:
    """Whether a row gets another answer without the others."""
    few = min(rows(x), 4)
    with quiet(model), torch.no_grad():
        try:
            parts = [logits(model(take(x, slice(k, k + 1)))).cpu() for k in range(few)]
        except Exception as error:  # a batch of one is a fair question
            name = type(error).__name__
            return [_warning(f"The model cannot answer a single row ({name}).", "")]
    alone = torch.cat(parts)
    if alone.shape == z[:few].shape and bool(((alone - z[:few]).abs() <= SAME * scale).all()):
        return []
    return [
        _failure(
            "The answer to a row depends on the other rows of its batch.",
            "Call model.eval(); replace statistics over the batch.",
        )
    ]


def gradient_findings(model: Model, x: Inputs, y: Tensor) -> list[Finding]:
    """Whether the gradient of the margin reaches the inputs."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        return []
    chosen = (y != UNLABELLED).nonzero().flatten()[:64]
    start = x[chosen].detach().clone().requires_grad_()
    blind = "Only attacks without gradients mean anything; repair the gradient or expect less."
    with quiet(model), torch.enable_grad():
        try:
            margin = Untargeted(y[chosen])(model(start))
            (slope,) = torch.autograd.grad(margin.sum(), start, allow_unused=True)
        except RuntimeError:
            slope = None
    if slope is None:
        return [_warning("No gradient reaches the input: gradient attacks are blind.", blind)]
    if not bool(slope.isfinite().all()):
        return [_warning("Gradients at the inputs are NaN or infinite.", blind)]
    flat = (slope.flatten(1) == 0).all(1).double().mean()
    if len(chosen) and float(flat) >= BLIND:
        return [
            _warning(
                f"The gradient is exactly zero on {float(flat):.0%} of the rows: gradient attacks "
                "are blind there.",
                blind,
            )
        ]
    return []


def channels_last(model: Model, x: Tensor) -> bool:
    """Whether the model takes pictures turned to channels last."""
    if x.dim() != 4:
        return False
    with quiet(model), torch.no_grad():
        try:
            model(x[:2].permute(0, 2, 3, 1))
        except Exception:  # whatever it raises means no
            return False
    return True
