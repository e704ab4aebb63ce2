"""What explainers ask of their inputs, and the gradients they share."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.kinds import Model, Readout
from holdfast.core.quiet import quiet
from holdfast.ops.derivative import gradient


def slope(model: Model, x: Tensor, readout: Readout, name: str) -> Tensor:
    """Gradient of each row's readout in its own input; the model is left as it was.

    Raises:
        Unsupported: if the input is not one floating-point tensor.
        ShapeError: if the readout does not give one number per row.
    """
    _floating(x, name)

    def value(leaf: Tensor) -> Tensor:
        found = readout(model(leaf))
        if found.shape != (len(leaf),):
            raise ShapeError(
                f"{name}: the readout gives {tuple(found.shape)} for {len(leaf)} rows",
                fix="A readout returns one number per row.",
            )
        return found

    with quiet(model):
        return gradient(value, x)


def _floating(x: object, name: str) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise Unsupported(
            f"{name} needs one tensor of floating-point inputs",
            fix="Give inputs as one floating-point tensor, rows first.",
        )


def start_of(x: Tensor, baseline: Tensor | None, name: str) -> Tensor:
    """The baseline, spread over all rows; zeros where none is given."""
    _floating(x, name)
    if baseline is None:
        return torch.zeros_like(x)
    try:
        return baseline.detach().to(x).expand_as(x)
    except RuntimeError as error:
        raise ShapeError(
            f"{name}: a baseline of shape {tuple(baseline.shape)} does not fit inputs "
            f"{tuple(x.shape)}",
            fix="Give a baseline like the inputs, or like one row.",
        ) from error
