"""What is to be proved or refuted about a network: an unsafe set of inputs and outputs.

A property names the unsafe set, as VNN-LIB does: it is a union of cases, each a box of inputs
with alternatives, each a conjunction of linear inequalities. A network is safe (`unsat`) iff no
input of a box leads to outputs that satisfy one of its alternatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from holdfast.certify.properties.formula import Atom, Every, Formula, Some, Variable, ways
from holdfast.core.errors import ConfigError

LARGEST_EXACT = 2**53


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
            )
        if not all(isinstance(v, Fraction) or math.isfinite(v) for v in (*x, *y)):
            return False
        exact = {"X": [Fraction(v) for v in x], "Y": [Fraction(v) for v in y]}
        return self.formula.holds(exact)


Ends = dict[int, Fraction]


def property_of(inputs: int, outputs: int, formula: Formula) -> Property:
    """The cases of a formula.

    Raises:
        ConfigError: if an input is not bounded, or a factor has too many digits to be exact.
    """
    parts = formula.parts if isinstance(formula, Every) else (formula,)
    shared = [part for part in parts if isinstance(part, Atom)]
    rest = Every(tuple(part for part in parts if not isinstance(part, Atom)))
    low: Ends = {}
    high: Ends = {}
    rows = [atom for atom in shared if not _tightened(atom, low, high)]
    found: dict[object, tuple[Ends, Ends, list[Conjunction]]] = {}
    for number, atoms in enumerate(ways(rest)):
        own_low: Ends = {}
        own_high: Ends = {}
        own = rows + [atom for atom in atoms if not _tightened(atom, own_low, own_high)]
        if not all(a.terms or a.limit >= 0 for a in own):
            continue
        box = (*sorted(own_low.items()), None, *sorted(own_high.items()))
        if box not in found:
            found[box] = _met(low, own_low, max), _met(high, own_high, min), []
        unsafe = [atom for atom in own if atom.terms]
        found[box][2].append(_conjunction(inputs, outputs, unsafe, number))
    cases = [
        Case(_ends(a, below), _ends(b, above), tuple(c), tuple((a[i], b[i]) for i in range(inputs)))
        for a, b, c in found.values()
        if _bounded(inputs, a, b)
    ]
    return Property(inputs, outputs, formula, tuple(cases))


def _met(one: Ends, two: Ends, tighter: Callable[[Fraction, Fraction], Fraction]) -> Ends:
    """Both sets of ends together, where both have one the tighter."""
    return one | {i: tighter(end, one.get(i, end)) for i, end in two.items()}


def _tightened(atom: Atom, low: Ends, high: Ends) -> bool:
    """Take a bound of a single input into a box; whether the atom was one."""
    if len(atom.terms) != 1 or atom.terms[0][0].kind != "X":
        return False
    variable, factor = atom.terms[0]
    i, end = variable.place, atom.limit if factor == 1 else atom.limit / factor
    ends, tighter = (high, min) if factor > 0 else (low, max)
    ends[i] = tighter(ends[i], end) if i in ends else end
    return True


def _bounded(inputs: int, low: Ends, high: Ends) -> bool:
    """Whether a box has points.

    Raises:
        ConfigError: naming the first input that has no lower or no upper end.
    """
    for i in range(inputs):
        for ends, word in ((low, "lower"), (high, "upper")):
            if i not in ends:
                raise ConfigError(
                    f"the property gives X_{i} no {word} bound",
                    fix="Nothing can be proved about unbounded inputs: add the assertion.",
                    code="E0183",
                )
    return all(low[i] <= high[i] for i in range(inputs))


def _ends(ends: Ends, rounded: Callable[[Fraction], float]) -> Tensor:
    return torch.tensor([rounded(ends[i]) for i in sorted(ends)], dtype=torch.float64)


def _conjunction(inputs: int, outputs: int, atoms: list[Atom], number: int) -> Conjunction:
    c = torch.zeros(len(atoms), outputs, dtype=torch.float64)
    mixed = any(v.kind == "X" for atom in atoms for v, _ in atom.terms)
    e = torch.zeros(len(atoms), inputs if mixed else 0, dtype=torch.float64)
    limits = torch.zeros(len(atoms), dtype=torch.float64)
    for row, atom in enumerate(atoms):
        # Whole factors are exact in float64; multiplying by their denominators changes nothing.
        scale = math.lcm(*(factor.denominator for _, factor in atom.terms))
        for variable, factor in atom.terms:
            whole = int(factor * scale)
            if abs(whole) > LARGEST_EXACT:
                raise _too_long(atom, variable)
            (c if variable.kind == "Y" else e)[row, variable.place] = whole
        limits[row] = above(atom.limit * scale) + 0.0  # no -0
    return Conjunction(c, limits, e if mixed else None, number)


def _too_long(atom: Atom, variable: Variable) -> ConfigError:
    return ConfigError(
        f"line {atom.line}: the factor of {variable} has too many digits to be exact in float64",
        fix="Write factors with at most 15 digits.",
        code="E0184",
    )


def robustness(low: Tensor, high: Tensor, label: int, outputs: int) -> Property:
    """The property that is unsafe where another class reaches the label's output.

    Args:
        low: lower ends of the inputs, taken exactly.
        high: upper ends.
        label: the class that must stay ahead.
        outputs: how many classes.
    """
    one = Fraction(1)
    parts: list[Formula] = []
    for i, (a, b) in enumerate(
        zip(low.double().reshape(-1).tolist(), high.double().reshape(-1).tolist(), strict=True)
    ):
        parts.append(Atom(((Variable("X", i), -one),), -Fraction(a)))
        parts.append(Atom(((Variable("X", i), one),), Fraction(b)))
    own = Variable("Y", label)
    others = [Variable("Y", j) for j in range(outputs) if j != label]
    parts.append(Some(tuple(Atom(((own, one), (j, -one)), Fraction(0)) for j in others)))
    return property_of(low.numel(), outputs, Every(tuple(parts)))
