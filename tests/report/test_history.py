"""Versions over time: drawn from the run's own numbers, honest about noise, at home in the page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.report import sample

from holdfast.report import render_html, render_markdown
from holdfast.report.change import changes
from holdfast.report.history import lines, over_time, sparkline

WORST, ECE = "attacks.worst@linf:8/255", "calibration.ece"


def version(day: int, numbers: dict[str, Any]) -> sample.Plain:
    return {"run": f"2030-01-0{day}-demo", "day": f"2030-01-0{day}", "word": "", "numbers": numbers}


def run(*every: dict[str, Any]) -> sample.Plain:
    return sample.run() | {"history": [version(k + 1, n) for k, n in enumerate(every)]}


RISING = run(
    {WORST: [0.05, 0.02, 0.08], ECE: [0.08, 0.07, 0.09]},
    {WORST: None, ECE: [0.1, 0.09, 0.11]},
    {WORST: [0.312, 0.282, 0.342], ECE: [0.081, 0.07, 0.092]},
)


def test_a_line_tells_first_and_last_and_whether_that_is_sure() -> None:
    worst, ece = lines(sample.results(), RISING)
    assert (worst.first, worst.now, worst.moved) == ("5.0%", "31.2%", "+26.2 pt better")
    assert worst.interval == "[28.2, 34.2]"
    assert (ece.first, ece.now, ece.moved) == ("8.0%", "8.1%", "+0.1 pt within noise")


def test_what_rises_is_worse_where_the_gate_wants_little() -> None:
    history = run({ECE: [0.01, 0.005, 0.02]}, {ECE: [0.081, 0.07, 0.092]})
    (ece,) = lines(sample.results(), history)
    assert ece.moved == "+7.1 pt worse"
    found = over_time(sample.results(), history, [])
    assert found is not None and found.title == "Change over versions"
    assert "0 of 1 gated number became surely better, 1 surely worse." in found.more["says"]


def test_one_version_is_no_history() -> None:
    assert over_time(sample.results(), run({WORST: [0.3, 0.2, 0.4]}), []) is None
    assert over_time(sample.results(), sample.run(), []) is None
    assert 'id="change"' not in render_html(sample.results(), run=sample.run())


def coordinates(svg: str, kind: str) -> list[tuple[float, float]]:
    (points,) = re.findall(rf"<{kind} points=\"([^\"]*)\"", svg)
    return [tuple(map(float, p.split(","))) for p in points.split()]  # type: ignore[misc]


def test_the_drawing_is_true_to_scale() -> None:
    points = [(0.1, 0.05, 0.15), (None, None, None), (0.2, 0.1, 0.3), (0.3, None, None)]
    svg = str(sparkline(points, 0.25, "a <b> says"))
    line = coordinates(svg, "polyline")
    assert [x for x, _ in line] == [2.0, 66.0, 98.0]
    heights = [y for _, y in line]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.02)
    band = coordinates(svg, 'polygon class="band"')
    assert len(band) == 4 and all(0 < y < 40 for _, y in band)
    (limit,) = re.findall(r'class="limit"[^>]* y1="([\d.]+)"', svg)
    assert heights[2] < float(limit) < heights[1]
    assert "<b>" not in svg and svg.count("dot now") == 1
    flat = str(sparkline([(0.5, 0.5, 0.5)] * 2, None, ""))
    assert "nan" not in flat and "inf" not in flat


def test_the_page_shows_versions_before_the_change() -> None:
    page = render_html(sample.results(), run=RISING, baseline=sample.baseline())
    assert page.index('id="fig-versions"') < page.index('<table class="change"')
    assert page.count('<svg class="spark"') == 2
    assert "Over 3 versions (2030-01-01 to 2030-01-03)" in page
    table = page[page.index('id="fig-versions"') :]
    assert "this run" in table[: table.index("</figure>")]
    assert not re.search(r"<svg class=\"spark\"[^>]*style=", page)


@pytest.mark.parametrize(
    "history",
    ["no list", [1, None], [{}, {}], [{"numbers": {WORST: "x"}}] * 2,
     [{"numbers": {WORST: [1]}}] * 3, [{"numbers": {WORST: [float("nan")] * 3}}] * 3],
)  # fmt: skip
def test_a_broken_history_is_no_history(history: Any) -> None:
    page = render_html(sample.results(), run=sample.run() | {"history": history})
    assert "fig-versions" not in page


def test_names_of_versions_are_text() -> None:
    history = run({WORST: [0.1, 0.0, 0.2]}, {WORST: [0.3, 0.2, 0.4]})
    history["history"][0]["run"] = "<img src=x onerror=alert(1)>"
    assert "<img src=x" not in render_html(sample.results(), run=history)


PAIR = {"change": 0.06, "low": 0.031, "high": 0.089, "p": 1e-5, "p_corrected": 1e-4, "n": 360}


def test_the_change_is_the_paired_one_where_rows_are_shared() -> None:
    told = sample.run() | {"paired": {WORST: PAIR}}
    found = {c.after.name: c for c in changes(sample.results(), sample.baseline(), told)}
    one = found[WORST]
    assert (one.change, one.interval, one.word) == ("+6.0 pt", "[+3.1, +8.9]", "better")
    assert one.shared == "p<.001, 360 shared rows"
    unsure = sample.run() | {"paired": {WORST: PAIR | {"p_corrected": 0.2}}}
    found = {c.after.name: c for c in changes(sample.results(), sample.baseline(), unsure)}
    assert found[WORST].word == "within noise" and found[WORST].shared.startswith("p=.200")
    page = render_html(sample.results(), run=told, baseline=sample.baseline())
    assert "[+3.1, +8.9]" in page and "360 shared rows" in page
    lines_ = render_markdown(sample.results(), run=told, baseline=sample.baseline())
    assert "360 shared rows" in lines_ and f"of {len(found)} numbers did not surely" in lines_


def test_broken_pairs_fall_back_to_the_intervals() -> None:
    plain = [c.word for c in changes(sample.results(), sample.baseline())]
    for broken in ("x", {WORST: 3}, {WORST: {"change": "x"}}):
        told = sample.run() | {"paired": broken}
        assert [c.word for c in changes(sample.results(), sample.baseline(), told)] == plain
