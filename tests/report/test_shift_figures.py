"""Pictures of shifts: families and means of a heat map, before and after, curves in panels."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.report import sample

from holdfast.report import render_html
from holdfast.report.dumbbells import dumbbells
from holdfast.report.heat import heat, listed
from holdfast.report.limits import limits
from holdfast.report.multiples import multiples


def cells(rows: list[tuple[Any, ...]], **more: str) -> sample.Plain:
    names = ("row", "column", "value", "group")
    made = [dict(zip(names, r, strict=True)) for r in rows]
    return sample.figure("h", "heat", "Accuracy by kind", "Accuracy.", made, **more)


SMALL = [
    ("snow", "0.2", 0.9, "Weather"), ("snow", "1", 0.5, "Weather"),
    ("shot", "0.2", 0.8, "Noise"), ("shot", "1", 0.04, "Noise"),
    ("fog", "0.2", 1.0, "Weather"), ("fog", "1", 0.7, "Weather"),
]  # fmt: skip


def test_rows_are_gathered_in_families_and_closed_by_their_mean() -> None:
    found = heat(cells(SMALL, x="severity (share)", y="corruption"))
    assert found is not None and found.columns == ("0.2", "1", "mean")
    assert [(g, [n for n, _ in rows]) for g, rows in found.groups] == [
        ("Weather", ["snow", "fog"]), ("Noise", ["shot"]),
    ]  # fmt: skip
    text = {name: [c.text for c in line] for name, line in found.rows}
    assert text == {
        "snow": ["90%", "50%", "70%"], "fog": ["100%", "70%", "85%"], "shot": ["80%", "4%", "42%"],
    }  # fmt: skip
    worst = [(n, c.text) for n, line in found.rows for c in line if c.worst]
    assert worst == [("shot", "4%")] and found.ringed
    shades = {c.text: int(c.shade[1:]) for _, line in found.rows for c in line}
    assert shades["100%"] == 0 and shades["4%"] == 9 and shades["50%"] == 5  # darker is worse
    assert (found.x, found.y) == ("severity", "corruption")


def test_maps_without_levels_or_families_stay_plain() -> None:
    found = heat(cells([("a", "near", 0.4, ""), ("a", "far", 0.4, "")]))
    assert found is not None and found.columns == ("near", "far") and not found.mean
    assert not found.ringed  # all alike: none is the worst
    assert [g for g, _ in found.groups] == [""]
    holes = heat(cells([("a", "1", 0.4, ""), ("b", "2", 0.8, "")]))
    assert holes is not None
    assert [[c.text for c in line] for _, line in holes.rows] == [
        ["40%", "–", "40%"], ["–", "80%", "80%"],
    ]  # fmt: skip


def test_the_same_numbers_stand_in_a_table_named_by_the_axes() -> None:
    rows = listed(cells(SMALL, x="severity (share)", y="corruption"))
    assert rows[0] == {
        "corruption": "snow", "severity": "0.2", "accuracy (share)": 0.9, "group": "Weather",
    }  # fmt: skip
    page = render_html(sample.results())
    part = re.search(r'<figure id="fig-corruptions".*?</figure>', page, re.S)
    assert part is not None and part[0].count("<tbody>") == 4 + 1
    assert 'tabindex="0" role="region" aria-label="Accuracy by kind and severity"' in part[0]
    assert '<th scope="rowgroup"' in part[0] and '<th scope="colgroup"' in part[0]
    assert part[0].count("(worst)") == part[0].count('class="h9 worst"') == part[0].count(">8%<")
    assert re.search(r"<details.*?gaussian.*?</details>", part[0], re.S)


def compared(*rows: tuple[float, float, float]) -> sample.Plain:
    made = [
        {"label": f"s{i}", "value": v, "low": low, "high": high, "n": 50, "before": 0.9,
         "before low": 0.85, "before high": 0.94, "against": "all rows"}
        for i, (v, low, high) in enumerate(rows)
    ]  # fmt: skip
    return sample.figure("d", "bars", "t", "s", made, x="accuracy", y="slice")


def test_points_intervals_and_words_of_a_comparison() -> None:
    found = dumbbells(compared((0.5, 0.4, 0.6), (0.95, 0.8, 1.0), (0.8, 0.7, 0.85)))
    assert found is not None
    assert [line.worse for line in found.lines] == [True, False, False]  # ends that touch: unsure
    assert [line.change for line in found.lines] == ["−40.0", "+5.0", "−10.0"]
    assert (found.before, found.after) == ("all rows", "slice")
    assert found.reference == "90.0% [85.0, 94.0]" and found.lines[0].interval == "[40.0, 60.0]"
    # The axis runs from 40% at 2 to 100% at 98 parts of the width.
    where = [float(v) for v in re.findall(r'<circle class="after" cx="([\d.]+)%', str(found.lines))]
    assert where == pytest.approx([2 + 96 * (v - 0.4) / 0.6 for v in (0.5, 0.95, 0.8)], abs=0.01)
    box = re.search(r'class="range" x="([\d.]+)%" y="\d+" width="([\d.]+)%', found.lines[0].drawing)
    assert box is not None
    assert [float(v) for v in box.groups()] == pytest.approx([2, 96 * 0.2 / 0.6], abs=0.01)


def test_bars_without_a_reference_and_other_units_are_left_to_the_chart() -> None:
    assert dumbbells(sample.figure("d", "bars", "t", "s", [{"label": "a", "value": 0.5}])) is None
    rows = [{"label": "a", "value": 3.0, "before": 4.0}]
    assert dumbbells(sample.figure("d", "bars", "t", "s", rows)) is None
    evil = compared((0.5, 0.4, 0.6))
    evil["rows"][0]["label"] = "<script>"
    document = sample.results()
    document["outcomes"][0]["findings"][0]["figures"] = [evil]
    assert '<th scope="row">&lt;script&gt;</th>' in render_html(document)


def curves() -> sample.Plain:
    made = [
        {"panel": p, "series": s, "x": x, "y": y} | ({"area": a} if x == 0 else {})
        for p, s, a, points in (
            ("far: noise", "knn", 0.91, ((0, 0.2), (0.5, 0.9), (1, 1))),
            ("far: noise", "energy", 0.75, ((0, 0), (1, 1))),
            ("near: <b>", "energy", 0.4, ((0, 0), (1, 1))),
        )
        for x, y in points
    ]  # fmt: skip
    return sample.figure("roc", "lines", "t", "s", made, x="false", y="true")


def test_squares_hold_one_curve_per_series_and_the_areas_in_words() -> None:
    found = multiples(curves())
    assert found is not None and found.series == (("s1", "knn"), ("s2", "energy"))
    first, second = found.panels
    assert 'class="s1" points="0.0,80.0 50.0,10.0 100.0,0.0"' in first.drawing
    assert first.areas == (("s1", "knn", "0.91"), ("s2", "energy", "0.75"))
    assert second.areas == (("s2", "energy", "0.40"),) and "s1" not in second.drawing
    document = sample.results()
    document["outcomes"][0]["findings"][0]["figures"] = [curves()]
    page = render_html(document)
    assert "<b>near: &lt;b&gt;</b>" in page and 'data-chart="fig-roc"' not in page


def test_lines_without_panels_stay_a_chart() -> None:
    plain = curves()
    for row in plain["rows"]:
        del row["panel"]
    assert multiples(plain) is None
    plain = curves()
    plain["rows"][0]["y"] = 3.0
    assert multiples(plain) is None


def test_distances_stand_against_their_limit() -> None:
    rows: list[sample.Plain] = [
        {"label": "<i>", "value": 0.4, "limit": 0.2, "p": 1e-6, "moved": True},
        {"label": "b", "value": 0.1, "limit": 0.2, "p": 0.25, "moved": False},
    ]
    figure = sample.figure("drift", "bars", "t", "s", rows, x="largest distance", y="feature")
    found = limits(figure)
    assert found is not None and found.limit == "0.2"
    assert [(line.value, line.p, line.beyond) for line in found.lines] == [
        ("0.4", "< 0.001", True), ("0.1", "0.250", False),
    ]  # fmt: skip
    where = [float(v) for v in re.findall(r'cx="([\d.]+)%', str([r.drawing for r in found.lines]))]
    line = re.search(r'class="limit" x1="([\d.]+)%', found.lines[0].drawing)
    assert line is not None
    assert [*where, float(line[1])] == pytest.approx(
        [96 / 1.08 * k for k in (1, 0.25, 0.5)], abs=0.01
    )
    document = sample.results()
    document["outcomes"][0]["findings"][0]["figures"] = [figure]
    page = render_html(document)
    assert '<tr class="worse"><th scope="row">&lt;i&gt;</th>' in page
    assert limits(sample.figure("d", "bars", "t", "s", [{"label": "a", "value": 0.5}])) is None
