"""Resizing of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from holdfast.readers.onnx_operators.step import Operator, Step, Value, given, tensor


def _sizes(step: Step, values: Sequence[Value], x: Tensor) -> list[int]:
    """The size of the result without batch and channels."""
    old = step.operator == "Upsample" or step.version < 11
    scales = given(values, 1 if old else 2)
    wanted = None if old else given(values, 3)
    if wanted is not None and not isinstance(wanted, Tensor) and wanted.size:
        sizes = step.integers(wanted, "the sizes")
    elif isinstance(scales, Tensor):
        raise step.refuse("scales that depend on the input")
    else:
        factors = step.get("scales") if scales is None else scales.reshape(-1)
        if factors is None or len(factors) != x.dim():
            raise step.refuse("scales of some axes only")
        sizes = [math.floor(n * float(f)) for n, f in zip(x.shape, factors, strict=True)]
        sizes[0] = x.shape[0]
    if sizes[1] != x.shape[1]:
        raise step.refuse("resizing of channels")
    return list(step.limited(sizes))[2:]


def _resize(step: Step, values: Sequence[Value]) -> Any:
    x = tensor(values[0])
    sizes = _sizes(step, values, x)
    mode = step.get("mode", "nearest")
    place = step.get("coordinate_transformation_mode", "half_pixel")
    whole = all(new % old == 0 for new, old in zip(sizes, x.shape[2:], strict=True))
    if mode == "nearest":
        rounding = step.get("nearest_mode", "round_prefer_floor")
        floor = place == "asymmetric" and rounding == "floor"
        plain = step.operator == "Upsample" or step.version < 11
        if not (
            plain or floor or (whole and place != "align_corners" and _harmless(place, rounding))
        ):
            raise step.refuse(f"nearest with {place}, {rounding}", "Use whole scales.")
        return F.interpolate(x, sizes, mode="nearest")
    if (
        mode == "linear"
        and x.dim() == 4
        and place in ("half_pixel", "align_corners", "pytorch_half_pixel")
    ):
        return F.interpolate(x, sizes, mode="bilinear", align_corners=place == "align_corners")
    raise step.refuse(f"mode {mode} with {place}", "Nearest and bilinear are read.")


def _harmless(place: str, rounding: str) -> bool:
    """Whether whole scales make equal copies of every entry."""
    if place in ("half_pixel", "pytorch_half_pixel"):
        return rounding.startswith("round")
    return place == "asymmetric" and rounding == "floor"


def _grid(step: Step, values: Sequence[Value]) -> Any:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(
        step.get("mode", "bilinear"), step.get("mode", "bilinear")
    )
    x, grid = tensor(values[0]), tensor(values[1])
    return F.grid_sample(
        x, grid.expand(len(x), *grid.shape[1:]), mode=mode,
        padding_mode=step.get("padding_mode", "zeros"),
        align_corners=bool(step.get("align_corners", 0)),
    )  # fmt: skip


OPERATORS: dict[str, Operator] = {"Resize": _resize, "Upsample": _resize, "GridSample": _grid}
