"""The values of a network: sums of matrices and ReLUs, flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Matrix = Any  # None: identity; (n,): diagonal; (n, m): dense; or a sparse matrix


@dataclass(eq=False)
class Value:
    """One value of the network, flat: `sum of matrix @ parent + offset`, or a ReLU of its parent.

    Entries of matrices may be wrong by a few roundings of their own size; the offset by `error`.
    """

    parts: list[tuple[int, Matrix]]
    offset: Array
    error: Array | None = None
    layer: int = -1  # number of the ReLU

    def __post_init__(self) -> None:
        """For each part what takes its parent forward, and the same without signs."""
        turned = [m if m is None or m.ndim == 1 else m.T for _, m in self.parts]
        self.forward = [(m, None if m is None else abs(m)) for m in turned]


@dataclass(frozen=True, eq=False)
class Known:
    """A value while the file is read: its number and its shape."""

    number: int
    shape: tuple[int, ...]


class Values:
    """The values in order; value 0 is the input."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.layers: list[int] = []  # for each ReLU the value that goes into it
        self.rectified: dict[tuple[int, tuple[int, ...]], Known] = {}  # the ReLU of each value

    def add(
        self, parts: list[tuple[int, Matrix]], offset: Array, shape: Sequence[int],
        error: Array | None = None, layer: int = -1,
    ) -> Known:  # fmt: skip
        """A new value."""
        flat = np.asarray(offset, dtype=np.float64).reshape(-1)
        self.values.append(Value(parts, flat, error, layer))
        return Known(len(self.values) - 1, tuple(int(n) for n in shape))

    def size(self, number: int) -> int:
        """How many entries a value has."""
        return len(self.values[number].offset)
