"""What is to be proved or refuted about a network: an unsafe set of inputs and outputs.

A property names the unsafe set, as VNN-LIB does: it is a union of cases, each a box of inputs
with alternatives, each a conjunction of linear inequalities. A network is safe (`unsat`) iff no
input of a box leads to outputs that satisfy one of its alternatives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from holdfast.certify.properties.formula import Formula
from holdfast.core.errors import ConfigError


def below(value: Fraction) -> float:
    """The largest float64 that is not above a number."""
    try:
        near = float(value)
    except OverflowError:
        return -math.inf if value < 0 else math.nextafter(math.inf, 0)
    return near if Fraction(near) <= value else math.nextafter(near, -math.inf)


def above(value: Fraction) -> float:
    """The smallest float64 that is not below a number."""
    return -below(-value)


@dataclass(frozen=True, eq=False)
class Conjunction:
    """Inequalities that hold together: `outputs @ y + inputs @ x <= limits`, in float64.

    It contains what the file says: strict inequalities count as not strict, limits are rounded
    up; factors are whole numbers, hence exact.

    Args:
        outputs: `(r, m)` factors of the outputs.
        limits: `(r,)` right-hand sides.
        inputs: `(r, n)` factors of the inputs; None where no inequality has any.
        number: its place among all alternatives of the property, as proofs count them.
    """

    outputs: Tensor
    limits: Tensor
    inputs: Tensor | None
    number: int


@dataclass(frozen=True, eq=False)
class Case:
    """A box of inputs and the alternatives that would be unsafe there.

    Args:
        low: `(n,)` lower ends in float64, rounded down.
        high: `(n,)` upper ends, rounded up.
        unsafe: the alternatives.
        ends: both ends of every input, exactly.
    """

    low: Tensor
    high: Tensor
    unsafe: tuple[Conjunction, ...]
    ends: tuple[tuple[Fraction, Fraction], ...]

    def nearest(self, x: Tensor) -> tuple[Fraction, ...]:
        """The point of the exact box next to one of float64."""
        points = map(Fraction, x.double().reshape(-1).tolist())
        return tuple(min(max(p, a), b) for p, (a, b) in zip(points, self.ends, strict=True))

    def reached(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The box together with what its inputs become when they are rounded to a type.

        Rounding keeps the order, so that the rounded ends enclose every rounded input.
        """
        low, high = self.low.to(dtype).double(), self.high.to(dtype).double()
        return torch.minimum(self.low, low), torch.maximum(self.high, high)


@dataclass(frozen=True, eq=False)
class Property:
    """An unsafe set.

    Args:
        inputs: how many inputs, in row-major order.
        outputs: how many outputs.
        formula: the unsafe set exactly.
        cases: the same in float64, rounded so that it contains the exact set.
    """

    inputs: int
    outputs: int
    formula: Formula
    cases: tuple[Case, ...]

    def holds(self, x: Sequence[float | Fraction], y: Sequence[float | Fraction]) -> bool:
        """Whether a pair lies in the unsafe set: exact, with no tolerance.

        Args:
            x: `n` inputs as the property means them, before a network rounds them to its type.
            y: `m` outputs that the network has given.
        """
        if len(x) != self.inputs or len(y) != self.outputs:
            raise ConfigError(
                f"the property is about {self.inputs} inputs and {self.outputs} outputs, got "
                f"{len(x)} and {len(y)}",
                code="E0182",
                fix="Pass one input and one output of the network, flattened.",
            )
        if not all(isinstance(v, Fraction) or math.isfinite(v) for v in (*x, *y)):
            return False
        exact = {"X": [Fraction(v) for v in x], "Y": [Fraction(v) for v in y]}
        return self.formula.holds(exact)
