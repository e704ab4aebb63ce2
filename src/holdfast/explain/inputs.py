"""What explainers ask of their inputs, and the gradients they share."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.errors import ShapeError
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model, Readout
from holdfast.core.quiet import quiet
from holdfast.ops.derivative import gradient


def slope(model: Model, x: Tensor, readout: Readout, name: str) -> Tensor:
    """Gradient of each row's readout in its own input; the model is left as it was.

    Raises:
        Unsupported: if the input is not one floating-point tensor.
        ShapeError: if the readout does not give one number per row.
    """
    one_tensor(x, name, floating=True)

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


def start_of(x: Tensor, baseline: Tensor | None, name: str) -> Tensor:
    """The baseline, spread over all rows; zeros where none is given."""
    one_tensor(x, name, floating=True)
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
