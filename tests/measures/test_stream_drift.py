"""A stream against a reference: exact chances, false alarms over the whole stream, what moved."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact, wasserstein_distance

from holdfast.core.errors import ConfigError
from holdfast.measures.data.columns import Window, known
from holdfast.measures.data.moved import effects
from holdfast.measures.data.questions import asked, beyond, hypergeometric
from holdfast.measures.data.stream import Look, level, watched

COLOURS = np.array(["red", "green", "blue"], object)


def window(n: int, seed: int, name: str = "w", **changes) -> Window:
    """Rows of four columns; `changes` replace some of them, None leaves one out."""
    draw = np.random.default_rng(seed)
    columns = {
        "age": draw.normal(40, 10, n), "income": draw.lognormal(0, 1, n),
        "colour": COLOURS[draw.integers(0, 3, n)],
        "gap": np.where(draw.random(n) < 0.1, np.nan, draw.normal(size=n)),
    }  # fmt: skip
    columns |= {k: np.asarray(v) for k, v in changes.items()}
    return Window(name, {k: v for k, v in columns.items() if v.dtype != bool}, n, n)


LEFT_OUT = np.zeros(0, bool)


def one(changed: Window, m: int = 1000, **settings) -> Look:
    """The look at a single window."""
    (look,) = watched(window(m, 999), [changed], **settings)
    return look


def test_levels_sum_to_alpha_however_long_the_stream() -> None:
    spent = [level(t, 0.05) for t in range(1, 5001)]
    assert sum(spent) == pytest.approx(0.05 * (1 - 1 / 5001))
    assert sum(spent) < 0.05 and spent == sorted(spent, reverse=True)


def test_chances_of_counts_are_those_of_fisher() -> None:
    for k, n, old, m in [(3, 10, 2, 30), (0, 8, 5, 40), (7, 7, 1, 9), (1, 1, 0, 20), (2, 9, 4, 18)]:
        table = [[k, n - k], [old, m - old]]
        tails = [fisher_exact(table, side).pvalue for side in ("less", "greater")]
        assert hypergeometric(k, n, old, m) == pytest.approx(min(1, 2 * min(tails)))


def test_chance_of_the_largest_is_that_of_counting() -> None:
    n, m = 3, 4
    orders = list(itertools.combinations(range(n + m), n))  # places of the window, 0 the largest
    for k in range(n + 1):
        hits = sum(set(range(k)) <= set(o) for o in orders)
        assert beyond(k, n, m) == pytest.approx(hits / len(orders))
    assert beyond(3, 3, 4) == pytest.approx(1 / comb(7, 3))


def test_no_more_false_alarms_than_alpha_over_whole_streams() -> None:
    alpha, streams = 0.2, 30
    alarms = naive = 0
    for seed in range(streams):
        before = window(50, 10_000 + seed)
        stream = [window(20, 100 * seed + t) for t in range(2)]
        alarms += any(look.verdict == "drift" for look in watched(before, stream, alpha=alpha))
        kept = {k: known(k, v) for k, v in before.columns.items()}
        naive += any(  # the same chances without corrections
            q.p < alpha for w in stream for k, v in w.columns.items() for q in asked(v, kept[k])
        )
    most = int(binom.isf(1e-3, streams, alpha))
    assert alarms <= most < naive


def test_what_moved_is_found_and_named_and_measured() -> None:
    draw = np.random.default_rng(5)
    now = window(400, 1, age=draw.normal(48, 10, 400), gap=draw.normal(0.6, 1, 400))
    look = one(now)
    assert look.verdict == "drift" and [m.column for m in look.moved] == ["age", "gap"]
    age = look.moved[0]
    size = {e.name.rpartition(".")[2]: e for e in age.effects}
    before = window(1000, 999).columns["age"]
    true = wasserstein_distance(now.columns["age"], before) / before.std()
    assert size["moved"].value == pytest.approx(true)
    assert size["moved"].low < 0.8 < size["moved"].high and size["moved"].n == 400
    assert size["stability_index"].value > 0.25
    statistic = age.questions[0].reading
    assert statistic.low < statistic.value < statistic.high
    gone = {q.what for q in look.moved[1].questions}
    assert gone == {"distribution", "missing"}


def test_intervals_cover() -> None:
    """Distance 0.5 of two normal samples: the interval holds it nearly as often as it says."""
    hits = 0
    for seed in range(25):
        draw = np.random.default_rng(seed)
        a, b = draw.normal(0.5, 1, 200), draw.normal(0, 1, 400)
        found = effects(a, known("a", b), seed=seed)[0]
        hits += found.low <= 0.5 <= found.high
    assert hits >= int(binom.ppf(1e-3, 25, 0.9))


def test_a_changed_schema_is_said() -> None:
    texts = np.array(["old"] * 50, object)
    look = one(window(50, 2, age=texts, income=LEFT_OUT, fresh=np.arange(50.0)))
    assert look.verdict == "drift"
    assert look.changed == (
        "column 'income' is missing", "column 'age' holds texts, as 'old'; numbers before",
    )  # fmt: skip
    assert look.notes[0] == "new columns, not compared: 'fresh'"
    assert one(window(50, 2, income=LEFT_OUT), optional=("income",)).changed == ()


def test_new_values_gaps_and_ranges_are_said() -> None:
    w = window(300, 3)
    colour, age = w.columns["colour"].copy(), w.columns["age"].copy()
    colour[:30], age[:12], age[20] = "mauve", 95.0, 9e9
    look = one(window(300, 3, colour=colour, age=age, gap=np.full(300, np.nan)))
    told = {m.column: m.questions for m in look.moved}
    assert set(told) == {"colour", "age", "gap"}
    assert told["colour"][0].says.startswith("'mauve' in 10% of the rows, 0% before")
    assert {q.what for q in told["age"]} == {"outside"}  # too few for Kolmogorov and Smirnov
    assert "13 above" in told["age"][0].says and "up to 9e+09" in told["age"][0].says
    assert told["gap"][0].says.startswith("no value in 100% of the rows")
    notes = " | ".join(look.notes)
    assert "colour: new values 'mauve' in 30 of 300 rows" in notes
    assert "age: 1 of 300 values far outside" in notes and "9e+09" in notes
    assert "gap: no value in any of 300 rows" in notes


def test_numbers_written_as_texts_are_numbers() -> None:
    w = window(300, 4)
    written = np.array([f"{v:.6f}" for v in w.columns["age"]], object)
    look = one(window(300, 4, age=written))
    assert look.verdict == "no drift" and not look.changed
    written[::10] = "?"
    look = one(window(300, 4, age=written))
    assert look.moved[0].questions[0].what == "texts"


@pytest.mark.parametrize("constant", [np.full(1000, 3.0), np.array(["a"] * 1000, object)])
def test_constant_columns(constant) -> None:
    before = window(1000, 999, same=constant)
    same, other = constant[:100], constant[:100].copy()
    other[:50] = 4.0 if other.dtype.kind == "f" else "b"
    (look,) = watched(before, [window(100, 6, same=same)])
    assert look.verdict == "no drift"
    (look,) = watched(before, [window(100, 6, same=other)])
    assert look.moved[0].column == "same" and look.moved[0].effects[0].value == pytest.approx(0.5)


def test_columns_without_values() -> None:
    empty = np.full(1000, np.nan)
    before = window(1000, 999, none=empty)
    (look,) = watched(before, [window(100, 6, none=empty[:100])])
    assert look.verdict == "no drift"
    (look,) = watched(before, [window(100, 6, none=np.ones(100))])
    assert [m.column for m in look.moved] == ["none"] and look.moved[0].effects == ()


def test_empty_and_tiny_windows_claim_nothing() -> None:
    looks = list(watched(window(1000, 999), [window(0, 1), window(1, 2), window(300, 3)]))
    assert [look.verdict for look in looks] == ["empty", "too small", "no drift"]
    assert [look.number for look in looks] == [1, 2, 3]
    later = next(iter(watched(window(1000, 999), [window(300, 3)], seen=2)))
    assert later.level == looks[2].level and later.p == looks[2].p


def test_an_answer_does_not_change_when_the_stream_goes_on() -> None:
    stream = [window(100, t) for t in range(4)]
    short = list(watched(window(500, 999), stream[:2]))
    assert short == list(watched(window(500, 999), iter(stream)))[:2]


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="alpha"):
        list(watched(window(10, 0), [], alpha=1.0))
    with pytest.raises(ConfigError, match="two rows"):
        list(watched(window(1, 0), []))
