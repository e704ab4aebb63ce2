"""Formulas over the inputs and outputs of a network: `and` and `or` of linear inequalities, exact.

All numbers are fractions, so that what a file says is what is meant: nothing is rounded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain, product
from math import prod
from typing import NamedTuple

from holdfast.core.errors import ConfigError

MAX_WAYS = 100_000


class Variable(NamedTuple):
    """An input (`X_3`) or an output (`Y_0`) of a network, by its place in row-major order."""

    kind: str
    place: int

    def __str__(self) -> str:
        return f"{self.kind}_{self.place}"


class Atom(NamedTuple):
    """The inequality `sum of factor * variable <= limit`, or `<` where strict.

    Args:
        terms: variables and their factors, each variable once, no factor zero.
        limit: the constant on the right.
        strict: whether equality is excluded.
        line: where it stands in its file, from 1; 0 if in none.
    """

    terms: tuple[tuple[Variable, Fraction], ...]
    limit: Fraction
    strict: bool = False
    line: int = 0

    def holds(self, values: Mapping[str, Sequence[Fraction]]) -> bool:
        total = sum((f * values[v.kind][v.place] for v, f in self.terms), Fraction(0))
        return total < self.limit if self.strict else total <= self.limit


class Every(NamedTuple):
    """True where every part is; without parts, always."""

    parts: tuple[Formula, ...]

    def holds(self, values: Mapping[str, Sequence[Fraction]]) -> bool:
        return all(part.holds(values) for part in self.parts)


class Some(NamedTuple):
    """True where some part is; without parts, never."""

    parts: tuple[Formula, ...]

    def holds(self, values: Mapping[str, Sequence[Fraction]]) -> bool:
        return any(part.holds(values) for part in self.parts)


Formula = Atom | Every | Some


def count(formula: Formula) -> int:
    """How many conjunctions the disjunctive normal form has."""
    if isinstance(formula, Atom):
        return 1
    parts = (count(part) for part in formula.parts)
    return prod(parts) if isinstance(formula, Every) else sum(parts)


def ways(formula: Formula) -> Iterator[tuple[Atom, ...]]:
    """The disjunctive normal form: conjunctions of atoms, of which one must hold.

    The order is fixed, because proofs name conjunctions by their number: parts of `or` come in
    the order of the file, and of several factors of `and` the last one changes fastest.

    Raises:
        ConfigError: if there are more than a hundred thousand.
    """
    if (found := count(formula)) > MAX_WAYS:
        raise ConfigError(
            f"the property has {found} alternatives when it is written out, at most {MAX_WAYS} "
            "are tried",
            fix="Split it into several files.",
            code="E0181",
        )
    return _ways(formula)


def _ways(formula: Formula) -> Iterator[tuple[Atom, ...]]:
    if isinstance(formula, Atom):
        yield (formula,)
    elif isinstance(formula, Some):
        for part in formula.parts:
            yield from _ways(part)
    else:
        # Thousands of atoms beside few alternatives: the atoms are put in place once.
        slots = [[(p,)] if isinstance(p, Atom) else list(_ways(p)) for p in formula.parts]
        for chosen in product(*slots):
            yield tuple(chain.from_iterable(chosen))
