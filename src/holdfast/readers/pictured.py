"""Classifiers of pictures of transformers: pictures in [0, 1] in, logits out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError
from holdfast.readers.description import description
from holdfast.readers.onnx_rows import fits


class Pictured(nn.Module):
    """A classifier behind the normalisation of its folder.

    Flat rows are taken too, where the description of the model fixes the form of a picture.

    Args:
        inner: takes `pixel_values`, answers `logits`.
        told: the description of the model.
        mean: `(C,)` subtracted; None for nothing.
        std: `(C,)` divided by.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self, inner: nn.Module, told: Mapping[str, Any], mean: Tensor | None, std: Tensor | None
    ) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        side = told.get("image_size")
        sides = tuple(side) if isinstance(side, list) else (side, side)
        sizes = (told.get("num_channels", 3), *sides)
        self.form = sizes if all(isinstance(n, int) and n > 0 for n in sizes) else None

    def forward(self, x: Tensor) -> Tensor:
        if self.form is not None and tuple(x.shape[1:]) != self.form:
            x = x.reshape(len(x), *self.form) if fits(tuple(x.shape[1:]), self.form) else x
        if self.mean is not None and self.std is not None:
            x = (x - self.mean[:, None, None]) / self.std[:, None, None]
        z: Tensor = self.inner(pixel_values=x).logits
        return z


def normalisation(folder: Path) -> tuple[Tensor | None, Tensor | None]:
    """Mean and standard deviation by channel that the folder asks for; None where it asks none."""
    told = description(folder / "preprocessor_config.json")
    if told.get("do_normalize") is False or "image_mean" not in told:
        return None, None
    try:
        mean, std = (torch.tensor([float(v) for v in told[k]]) for k in ("image_mean", "image_std"))
        if mean.shape != std.shape or not bool(((std > 0) & mean.isfinite()).all()):
            raise ValueError("no deviations above 0")
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{folder.name}/preprocessor_config.json says no normalisation: {error}",
            fix="Give it yourself: --mean 0.5 --std 0.5",
            code="E0116",
        ) from None
    return mean, std
