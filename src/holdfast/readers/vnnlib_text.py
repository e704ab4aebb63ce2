"""Properties and witnesses as text, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from holdfast.certify.properties.formula import Atom, Every, Formula
from holdfast.certify.properties.property import Property


def exactly(value: Fraction) -> str:
    """A number in digits, without loss: as short as possible if it is a float64.

    A fraction that no digits express is written `(/ a b)`.
    """
    if abs(value) < 1 << 1000 and Fraction(float(value)) == value:
        short = repr(float(value))
        if Fraction(short) == value:
            return short
    rest, shift = value.denominator, 0
    for prime in (2, 5):
        times = 0
        while rest % prime == 0:
            rest //= prime
            times += 1
        shift = max(shift, times)
    if rest != 1:
        return f"(/ {value.numerator}.0 {value.denominator}.0)"
    whole = str(abs(value.numerator) * 10**shift // value.denominator).rjust(shift + 1, "0")
    digits = f"{whole[: len(whole) - shift]}.{whole[len(whole) - shift :] or '0'}"
    return f"-{digits}" if value < 0 else digits


def written(prop: Property) -> str:
    """A property as VNN-LIB text, which reads back as the same property."""
    lines = [f"(declare-const X_{i} Real)" for i in range(prop.inputs)]
    lines += [f"(declare-const Y_{j} Real)" for j in range(prop.outputs)]
    parts = prop.formula.parts if isinstance(prop.formula, Every) else (prop.formula,)
    return "\n".join([*lines, *(f"(assert {_formula(part)})" for part in parts), ""])


def _formula(formula: Formula) -> str:
    if isinstance(formula, Atom):
        return _atom(formula)
    if not formula.parts:
        return "true" if isinstance(formula, Every) else "false"
    word = "and" if isinstance(formula, Every) else "or"
    return f"({word} {' '.join(map(_formula, formula.parts))})"


def _atom(atom: Atom) -> str:
    less, more = ("<", ">") if atom.strict else ("<=", ">=")
    if len(atom.terms) == 1 and abs(atom.terms[0][1]) == 1:
        variable, factor = atom.terms[0]
        sign = less if factor > 0 else more
        return f"({sign} {variable} {exactly(atom.limit * factor)})"
    if len(atom.terms) == 2 and atom.limit == 0:
        (one, a), (two, b) = atom.terms
        if a == 1 and b == -1:
            return f"({less} {one} {two})"
    terms = " ".join(f"(* {exactly(factor)} {variable})" for variable, factor in atom.terms)
    return f"({less} (+ {terms} 0.0) {exactly(atom.limit)})"


def witness_text(x: Sequence[Fraction], y: Sequence[float]) -> str:
    """A witness as the competition of verifiers writes it."""
    lines = [f"(X_{i} {exactly(value)})" for i, value in enumerate(x)]
    lines += [f"(Y_{j} {value!r})" for j, value in enumerate(y)]
    return "(" + "\n".join(lines) + ")\n"
