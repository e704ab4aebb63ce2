"""A model behind a change of units, so that every threat acts in [0, 1]."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError
from holdfast.core.kinds import Model, Outputs


class Affine(nn.Module):
    """`model((x - shift) / scale)`: the units that the model wants, made from those of the data.

    Args:
        model: the model inside.
        shift: what becomes 0, `(1,)` or one number per column of a table or channel of images.
        scale: what becomes 1 above that, likewise.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, model: Model, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Outputs:
        form = (-1, *[1] * (x.dim() - 2))  # columns and channels are the second axis
        shift, scale = self.shift.reshape(form), self.scale.reshape(form)
        found: Outputs = self.model((x - shift) / scale)
        return found


def normalised(model: Model, mean: Any, std: Any, channels: int | None = None) -> Affine:
    """A model that expects inputs of mean 0, made into one that takes those of the file.

    Args:
        model: expects `(x - mean) / std`.
        mean: one number, or one per channel or column.
        std: likewise; 1 if None.
        channels: of the images, if known.

    Raises:
        ConfigError: if the counts do not fit or a number cannot be divided by.
    """
    shift, scale = (
        torch.atleast_1d(torch.as_tensor(v, dtype=torch.float32))
        for v in (0.0 if mean is None else mean, 1.0 if std is None else std)
    )
    counts = {len(v) for v in (shift, scale)} - {1}
    if len(counts | ({channels} - {None} if counts else set())) > 1:
        raise ConfigError(
            f"--mean has {len(shift)} and --std {len(scale)} numbers, images have "
            f"{channels or 'other'} channels",
            fix="Give one number, or one per channel.",
            code="E0119",
        )
    if not bool((scale.isfinite() & (scale > 0)).all()) or not bool(shift.isfinite().all()):
        raise ConfigError("--std must be positive, --mean finite", fix="--std 0.25", code="E0119")
    return Affine(model, shift, scale)
