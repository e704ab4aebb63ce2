"""The cases of a property, from a formula or from a box that must keep its label."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from holdfast.certify.properties.formula import Atom, Every, Formula, Some, Variable, ways
from holdfast.certify.properties.property import Case, Conjunction, Property, above, below
from holdfast.core.errors import ConfigError

LARGEST_EXACT = 2**53
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
