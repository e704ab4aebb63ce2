"""One step of an ONNX network, and how operators take their inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast.core.errors import Unsupported, UntrustedFile

Value = Tensor | np.ndarray[Any, Any] | None  # a constant known beforehand is an array
Operator = Callable[["Step", Sequence[Value]], Any]
MAX_NUMBERS = 2**28  # no single value of a network is larger


@dataclass(frozen=True, eq=False)
class Step:
    """A node of the file.

    Args:
        operator: its name in ONNX.
        name: of the node, for errors.
        version: of the operator set.
        attributes: as plain values; tensors as arrays.
        inputs: names of the values it takes, empty where one is left out.
        outputs: names of the values it gives.
        rows: how many rows stand in place of a leading 1; filled in for each pass.
    """

    operator: str
    name: str
    version: int
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: int = 1

    def get(self, key: str, otherwise: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(key, otherwise)

    def refuse(self, says: str, fix: str = "") -> Unsupported:
        """The error that this operator cannot do what the file asks."""
        return Unsupported(
            f"ONNX operator {self.operator} (node {self.name!r}): {says}",
            fix=fix or "Export the network with another form of this operation.",
            code="E0321",
        )

    def integers(self, value: Value, what: str) -> list[int]:
        """A constant as whole numbers."""
        if isinstance(value, Tensor) or value is None:
            raise self.refuse(f"{what} must be known without running the network")
        return [int(v) for v in np.asarray(value).reshape(-1)]

    def number(self, value: Value, what: str) -> float:
        """A constant of one entry."""
        if isinstance(value, Tensor) or value is None or value.size != 1:
            raise self.refuse(f"{what} must be one number known without running the network")
        return float(value.reshape(-1)[0])

    def limited(self, shape: Sequence[int]) -> Sequence[int]:
        """A shape, if a value of that shape is of a sensible size."""
        if prod(shape) > MAX_NUMBERS or any(size < 0 for size in shape):
            raise UntrustedFile(
                f"ONNX node {self.name!r} ({self.operator}) would make a value of shape "
                f"{tuple(shape)}",
                fix="Check where the file comes from.", code="E0416",
            )  # fmt: skip
        return shape


def tensor(value: Value) -> Tensor:
    """A value as a tensor."""
    if isinstance(value, Tensor):
        return value
    if value is None:
        return torch.empty(0)
    return torch.from_numpy(np.array(value))  # a copy: constants may be read-only


def given(values: Sequence[Value], place: int) -> Value:
    """An input that may be left out."""
    return values[place] if place < len(values) else None
