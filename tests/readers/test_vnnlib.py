import gzip
import itertools
import math
import random
import time
from fractions import Fraction

import numpy as np
import pytest
import torch

from holdfast.certify.checker.specification import alternatives
from holdfast.certify.properties.cases import robustness
from holdfast.certify.properties.property import above, below
from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.vnnlib import parse_property, read_property
from holdfast.readers.vnnlib_text import exactly, written

HEAD = """; two inputs, three outputs
(declare-const X_0 Real)
(declare-const X_1   Real)
(declare-const Y_0 Real) (declare-const Y_1 Real)
(declare-const Y_2 Real)
"""
BOX = """(assert (<= X_0 1))(assert (>= X_0 -1e-1))
( assert (>= X_1 (- 2.5)) ) ; a comment ) (
(assert (<= X_1 .5E0))
"""


def rows(conjunction):
    return conjunction.outputs.tolist(), conjunction.limits.tolist()


def test_a_file_with_nested_alternatives_reads_as_its_normal_form():
    text = (
        HEAD
        + BOX
        + """
(assert (or (and (<= Y_0 Y_1) (or (>= Y_2 3) (< Y_2 (* -2 Y_0)))) (<= (+ Y_0 Y_1 1) (- Y_2 4))))
"""
    )
    prop = parse_property(text)
    (case,) = prop.cases
    assert case.low.tolist() == [below(Fraction(-1, 10)), -2.5]
    assert case.high.tolist() == [1.0, 0.5]
    assert [rows(c) for c in case.unsafe] == [
        ([[1.0, -1.0, 0.0], [0.0, 0.0, -1.0]], [0.0, -3.0]),
        ([[1.0, -1.0, 0.0], [2.0, 0.0, 1.0]], [0.0, 0.0]),
        ([[1.0, 1.0, -1.0]], [-5.0]),
    ]
    assert [c.number for c in case.unsafe] == [0, 1, 2]


def test_alternatives_of_inputs_become_boxes_with_all_alternatives_of_outputs():
    text = (
        HEAD
        + """(assert (>= X_1 0)) (assert (<= X_1 1))
(assert (or (and (<= X_0 1) (>= X_0 0)) (and (<= X_0 9) (>= X_0 8)) (and (<= X_0 2) (>= X_0 3))))
(assert (or (<= Y_0 0) (>= Y_1 0)))"""
    )
    prop = parse_property(text)
    assert [(c.low[0].item(), c.high[0].item()) for c in prop.cases] == [(0.0, 1.0), (8.0, 9.0)]
    assert [[u.number for u in c.unsafe] for c in prop.cases] == [[0, 1], [2, 3]]


def test_rows_may_speak_of_inputs_and_outputs_together():
    prop = parse_property(HEAD + BOX + "(assert (<= (+ X_0 (* 0.5 Y_0)) (+ X_1 1.5)))")
    (way,) = prop.cases[0].unsafe
    assert way.outputs.tolist() == [[1.0, 0.0, 0.0]]  # multiplied by 2: whole factors
    assert way.inputs is not None
    assert way.inputs.tolist() == [[2.0, -2.0]]
    assert way.limits.tolist() == [3.0]


@pytest.mark.parametrize(
    "text", ["0.1", "1e-300", "-0.3", "123456789.123456789123456789", "1e-400"]
)
def test_ends_are_rounded_outward(text):
    value = Fraction(text)
    low, high = below(value), above(value)
    assert Fraction(low) <= value <= Fraction(high)
    assert high == low or math.nextafter(low, math.inf) == high


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "(assert (<= X_7 1))", r"line 6: unknown variable X_7"),
        (HEAD + "(assert (<= X_0 1)", r"a parenthesis is never closed"),
        (HEAD + "(assert (<= X_0 1))\n)", r"line 7: a parenthesis closes"),
        (HEAD + "(assert (<= X_0 one))", r"line 6: 'one' is neither"),
        (HEAD + "(assert (<= (* X_0 X_1) 1))", r"line 6: a product of two variables"),
        (HEAD + "(assert (=> (<= X_0 1) (<= Y_0 1)))", r"line 6"),
        (HEAD + "(check (<= X_0 1))", r"line 6: expected \(declare"),
        (HEAD + "(assert (<= X_0 1e99999))", r"line 6: '1e99999' is neither"),
        (HEAD + BOX.replace("(assert (<= X_1 .5E0))", ""), r"X_1 no upper bound"),
        ("(declare-const X_1 Real)(declare-const Y_0 Real)", r"not X_0"),
        ("(declare-const X_0 Real)", r"no variable Y_0"),
        (HEAD + "(" * 300 + ")" * 300, r"nested"),
        (HEAD + BOX + ("(assert (or" + "(<= Y_1 1)" * 11 + "))") * 5, r"alternatives"),
        (HEAD + "()", r"empty parentheses"),
        (HEAD + "(assert (<= X_0 (/ 1 0)))", r"division"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(text, says):
    with pytest.raises(ConfigError, match=says):
        parse_property(text)


def test_files_may_be_packed_and_not_too_large(tmp_path):
    plain, packed = tmp_path / "a.vnnlib", tmp_path / "a.vnnlib.gz"
    plain.write_text(HEAD + BOX + "(assert (<= Y_0 0))")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert torch.equal(read_property(plain).cases[0].low, read_property(packed).cases[0].low)
    with pytest.raises(UntrustedFile, match="more than"):
        read_property(packed, max_bytes=50)
    (tmp_path / "cut.gz").write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(UntrustedFile, match="cut off"):
        read_property(tmp_path / "cut.gz")
    with pytest.raises(ConfigError, match="no file"):
        read_property(tmp_path / "none")


def test_robustness_survives_being_written_and_read():
    draws = torch.Generator().manual_seed(0)
    for seed in range(20):
        x = torch.rand(5, generator=draws, dtype=torch.float64)
        prop = robustness(x - 0.1, x + 0.1, seed % 4, 4)
        again = parse_property(written(prop))
        assert again.formula == prop.formula or written(again) == written(prop)
        (one,), (two,) = prop.cases, again.cases
        assert torch.equal(one.low, x - 0.1)
        assert torch.equal(one.low, two.low)
        assert torch.equal(one.high, two.high)
        assert [rows(u) for u in one.unsafe] == [rows(u) for u in two.unsafe]


def drawn(rng, depth, kinds=("atom", "and", "or", "not", "=")):
    """A random formula as text."""
    kind = rng.choice(kinds) if depth else "atom"
    if kind in ("and", "or"):
        parts = " ".join(drawn(rng, depth - 1, kinds) for _ in range(rng.randint(1, 3)))
        return f"({kind} {parts})"
    if kind == "not":
        return f"(not {drawn(rng, depth - 1, kinds)})"
    sign = "=" if kind == "=" else rng.choice(["<=", ">=", "<", ">"])
    sides = []
    for _ in range(2):
        terms = rng.sample(["X_0", "X_1", "Y_0", "Y_1", "Y_2", "(* 0.5 Y_0)", "(- X_1)"], 2)
        sides.append(f"(+ {' '.join(terms)} {rng.randint(-2, 2)})")
    return f"({sign} {sides[0]} {rng.choice([sides[1], str(rng.randint(-2, 2))])})"


@pytest.mark.parametrize("seed", range(30))
def test_the_normal_form_says_what_the_formula_says(seed):
    rng = random.Random(seed)
    text = HEAD + BOX.replace("2.5", "3") + "".join(f"(assert {drawn(rng, 3)})\n" for _ in range(2))
    prop = parse_property(text)
    halves = [v / 2 for v in range(-4, 5)]
    for _ in range(60):
        x = [rng.choice(halves), rng.choice(halves)]
        y = [rng.choice(halves) for _ in range(3)]
        cased = False
        for case in prop.cases:
            inside = all(a <= v <= b for v, a, b in zip(x, case.low, case.high, strict=True))
            for way in case.unsafe if inside else ():
                used = way.outputs @ torch.tensor(y, dtype=torch.float64)
                if way.inputs is not None:
                    used = used + way.inputs @ torch.tensor(x, dtype=torch.float64)
                cased |= bool((used <= way.limits).all())
        # Strict inequalities count as not strict, so the cases may contain more, never less.
        assert cased or not prop.holds(x, y)


@pytest.mark.parametrize("seed", range(30))
def test_the_checker_numbers_alternatives_alike(seed):
    rng = random.Random(seed)
    known = ("atom", "and", "or")
    text = HEAD + BOX + "".join(f"(assert {drawn(rng, 3, known)})\n" for _ in range(2))
    mine = {w.number: (c, w) for c in parse_property(text).cases for w in c.unsafe}
    theirs = dict(enumerate(alternatives(text)))
    assert {n for n, w in theirs.items() if w is not None} == set(mine)
    for number, (case, way) in mine.items():
        other = theirs[number]
        assert np.array_equal(other.low, case.low.numpy())
        assert np.array_equal(other.high, case.high.numpy())
        assert np.array_equal(other.c, way.outputs.numpy())
        assert np.array_equal(other.d, way.limits.numpy())
        e = np.zeros_like(other.e) if way.inputs is None else way.inputs.numpy()
        assert np.array_equal(other.e, e)


def test_strict_and_not_strict_differ_on_witnesses_only():
    prop = parse_property(HEAD + BOX + "(assert (< Y_0 1))")
    assert prop.cases[0].unsafe[0].limits.tolist() == [1.0]
    assert not prop.holds([0.0, 0.0], [1.0, 0.0, 0.0])
    assert prop.holds([0.0, 0.0], [math.nextafter(1.0, 0), 0.0, 0.0])
    assert not prop.holds([0.0, 0.0], [math.nan, 0.0, 0.0])
    assert not prop.holds([1.0000000000000002, 0.0], [0.0, 0.0, 0.0])


def test_a_point_that_no_float_equals_is_met_exactly():
    text = HEAD + "(assert (= X_0 0.1)) (assert (= X_1 0.2)) (assert (<= Y_0 0))"
    prop = parse_property(text)
    x = prop.cases[0].nearest(torch.tensor([7.0, -7.0]))
    assert x == (Fraction(1, 10), Fraction(1, 5))
    assert prop.holds(x, [0.0, 0.0, 0.0])
    assert not prop.holds([0.1, 0.2], [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    "value", [Fraction(1, 10), Fraction(-1, 3), Fraction(0.1), Fraction(10**30, 7)]
)
def test_numbers_are_written_without_loss(value):
    text = exactly(value)
    parts = text.strip("(/ )").split()
    assert (Fraction(parts[0]) / Fraction(parts[1]) if len(parts) == 2 else Fraction(text)) == value


def test_three_thousand_inputs_read_within_a_second():
    lines = [f"(declare-const X_{i} Real)" for i in range(3072)]
    lines += [f"(declare-const Y_{j} Real)" for j in range(10)]
    for i in range(3072):
        lines += [f"(assert (<= X_{i} {i / 3071!r}))", f"(assert (>= X_{i} {i / 3072 - 1!r}))"]
    lines.append("(assert (or " + "".join(f"(and (>= Y_{j} Y_9))" for j in range(9)) + "))")
    start = time.process_time()
    prop = parse_property("\n".join(lines))
    assert time.process_time() - start < 1.0  # usually 0.15
    assert len(prop.cases[0].unsafe) == 9


def test_products_of_alternatives_come_in_order():
    text = HEAD + BOX
    for pair in itertools.pairwise(["Y_0", "Y_1", "Y_2"]):
        text += f"(assert (or (<= {pair[0]} 0) (<= {pair[1]} 1)))"
    limits = [tuple(w.limits.tolist()) for w in parse_property(text).cases[0].unsafe]
    assert limits == [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
