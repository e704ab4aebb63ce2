"""Figures of any length become short without lying about their form."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.report import sample

from holdfast.report import render_html
from holdfast.report.thinned import LEFT_OUT, MOST, short, thinned
from holdfast.report.vega import titled


def figure(kind: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return sample.figure("f", kind, "t", "It says so.", rows)


def test_a_short_figure_is_left_as_it_is():
    one = figure("lines", [{"x": i, "y": i} for i in range(10)])
    assert short(one) is one and short({"kind": "lines"}) == {"kind": "lines"}
    document = sample.results()
    assert thinned(document) == document and thinned({"outcomes": 7}) == {"outcomes": 7}


def test_every_curve_keeps_its_ends_and_even_steps():
    rows = [{"x": x, "y": s, "series": f"s{s}"} for x in range(1000) for s in range(3)]
    done = short(figure("lines", rows), 90)
    assert len(done["rows"]) == 90 and done[LEFT_OUT] == 2910
    for name in ("s0", "s1", "s2"):
        xs = [r["x"] for r in done["rows"] if r["series"] == name]
        steps = {b - a for a, b in pairwise(xs)}
        assert (xs[0], xs[-1]) == (0, 999) and max(steps) - min(steps) <= 1
    again = short(done, 30)
    assert len(again["rows"]) == 30 and again[LEFT_OUT] == 2970


def test_a_chart_of_lines_reaches_its_last_point():
    rows = [{"x": x / 9999, "y": 0.5} for x in range(10_000)]
    document = {"outcomes": [sample.outcome("x", "ood", "?", sample.finding(
        "info", "It says so.", [], [figure("lines", rows)]))]}  # fmt: skip
    page = render_html(document)
    assert '"x":1.0' in page and page.count('"y":0.5') == 400


def test_a_long_title_of_an_axis_takes_two_lines():
    long = "largest change of any coordinate (inputs in [0, 1])"
    assert titled("x") == "x" and titled("") is None
    told = titled(long)
    assert isinstance(told, list) and len(told) == 2 and " ".join(told) == long


def test_what_is_sorted_by_weight_keeps_its_head():
    rows = [{"label": f"r{i}", "value": i} for i in range(50)]
    for kind in ("table", "bars", "heat", "gallery"):
        done = short(figure(kind, rows), 8)
        assert done["rows"] == rows[:8] and done["kind"] == kind and done[LEFT_OUT] == 42


def test_bins_are_never_left_out_of_a_chart():
    rows = [{"left": i, "right": i + 1, "count": 1} for i in range(MOST + 1)]
    assert short(figure("histogram", rows))["kind"] == "table"
    document = {"outcomes": [sample.outcome("x", "ood", "?", sample.finding(
        "info", "It says so.", [], [figure("histogram", rows)]))]}  # fmt: skip
    page = render_html(document)
    assert "1,801 more rows" in page or "1801 more rows" in page
    assert len(page) < 200_000, "no chart, so no chart library"
