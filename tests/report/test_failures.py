"""Failures, ledger and self-checks on the page: what is marked, summed, and never believed."""

from __future__ import annotations

import re

import pytest
from tests.report import sample

from holdfast.report import render_html
from holdfast.report.pictures import difference, picture
from holdfast.report.stages import ledger, panel, timed

EVIL = '<b onload="alert(1)">'


def _page(kind: str, rows: list[sample.Plain]) -> str:
    figure = sample.figure("f", kind, "title", "says", rows)
    made = sample.outcome("worst-case", "attacks", "?", sample.finding("info", "s", (), [figure]))
    return render_html({"outcomes": [made]})


def _section(page: str, name: str) -> str:
    return page.split(f'<section id="{name}">')[1].split("</section>")[0]


@pytest.mark.parametrize("seed", range(20))
def test_both_texts_can_be_read_back_from_the_marked_one(seed: int) -> None:
    import random

    dice = random.Random(seed)
    before, after = ([dice.choice("abcd") for _ in range(dice.randrange(12))] for _ in range(2))
    marked = difference(" ".join(before), " ".join(after))
    for gone, text in (("new", before), ("gone", after)):
        kept = [w for state, words in marked if state != gone for w in words.split()]
        assert kept == text


def test_a_text_shows_its_changed_words_and_nothing_runs() -> None:
    rows: list[sample.Plain] = [{
        "before": "good, 88%", "after": f"bad{EVIL}, 61%", "row": 1041, "found by": "typos",
        "text": "a great film", "changed text": f"a {EVIL} film", "of the radius (share)": 0.5,
    }]  # fmt: skip
    page = _section(_page("gallery", rows), "failures")
    assert "<del>great</del>" in page and "<b onload" not in page
    assert re.search(r"<ins>&lt;b onload=[^<]*</ins>", page)
    assert "2 of 3 words" in page and "row 1041, found by typos" in page
    assert "50% of what is allowed" in page


def test_a_long_text_keeps_what_stands_around_a_change() -> None:
    words = [f"w{k}" for k in range(200)]
    moved = [*words[:100], "new", *words[101:]]
    one = picture({"text": " ".join(words), "changed text": " ".join(moved)})
    shown = [w for _, part in one.tokens for w in part.split()]
    assert len(shown) < 20 and {"w99", "w100", "new", "w101", "…"} <= set(shown)
    assert one.at == "1 of 200 words"


def test_a_picture_bears_both_answers_and_the_smallest_radius() -> None:
    rows: list[sample.Plain] = [{
        "before": "8, 97%", "after": "3, 61%", "breaks at": "linf 3.1/255", "row": 5,
        "found by": "ensemble: round 2", "of the radius (share)": 0.3875, "gain": 12,
        "image": sample.png(1), "changed": sample.png(1, 1), "difference": sample.png(0, 3),
    }]  # fmt: skip
    page = _section(_page("gallery", rows), "failures")
    assert page.count("<img ") == 3 and "change ×12" in page
    first, second = re.findall(r"</small><b>([^<]*)</b>", page)
    assert (first, second) == ("8, 97%", "3, 61%")
    assert "linf 3.1/255" in page and "39% of radius" in page and 'width="38.8%"' in page
    assert "row 5, found by ensemble: round 2" in page and 'alt="changed: 3, 61%"' in page


def test_a_change_of_the_model_shows_the_row_once_and_what_it_turns_into() -> None:
    one = picture({"before": "8, 97%", "after": "3, 61%", "image": sample.png(1), "row": 5})
    assert [(i.word, i.answer) for i in one.images] == [("original", "8, 97%")]
    assert one.title == "turns into 3, 61%"


STAGES: list[sample.Plain] = [
    {"stage": "clean", "rows": 100, "broken": 4, "set aside": 0, "forwards": 100, "backwards": 0},
    {"stage": "attack:ensemble: sprint", "rows": 96, "broken": 60, "set aside": 0,
     "forwards": 1500, "backwards": 1400},
    {"stage": "attack:ensemble: probe", "rows": 6, "broken": 1, "set aside": 30,
     "forwards": 480, "backwards": 0},
]  # fmt: skip


def test_the_ledger_has_one_line_per_stage_and_their_sums() -> None:
    made = ledger(STAGES)
    assert made is not None
    assert [(s.attack, s.part) for s in made.lines] == [
        ("clean", ""), ("ensemble", "sprint"), ("ensemble", "probe"),
    ]  # fmt: skip
    assert made.lines[1].cells == ("96", "60", "–", "1,500", "1,400")
    assert made.total == ("", "65", "30", "2,080", "1,400")
    found = _section(_page("table", STAGES), "attacks")
    assert found.count("<tr>") == len(STAGES) + 2 and "all stages" in found
    assert ledger([{"method": "pgd"}]) is None


def test_seconds_of_a_ledger_come_from_the_facts_of_the_run() -> None:
    figure = {"name": "ledger-x", "kind": "table", "title": "t", "says": "s", "rows": STAGES}
    outcome = {"check": "check:worst-case", "section": "attacks", "cell": "c0",
               "findings": [{"severity": "info", "says": "f", "figures": [figure]}]}  # fmt: skip
    results = {"outcomes": [outcome, {"cell": "c1"}]}
    spent: sample.Plain = {"clean": 0.25, "attack:ensemble: sprint": 1234.5}
    run = {"ledgers": {"c0": {"ledger-x": spent, "ledger-y": {"clean": 9.0}}, "c2": 7}}
    told = timed(results, run)
    made = ledger(told["outcomes"][0]["findings"][0]["figures"][0]["rows"])
    assert made is not None and made.timed
    assert [line.cells[-1] for line in made.lines] == ["0.25", "1,234.50", "–"]
    assert made.total[-1] == "1,234.75" and told["outcomes"][1] == {"cell": "c1"}
    assert "seconds" not in STAGES[0], "the document itself is as it was"
    page = render_html(results, run=run)
    assert ">Seconds</th>" in page and "1,234.50" in page
    for none in ({}, {"ledgers": EVIL}, {"ledgers": {"c0": [1]}}):
        assert ">Seconds</th>" not in render_html(results, run=none)


def test_self_checks_that_failed_come_first_with_what_repairs_them() -> None:
    rows: list[sample.Plain] = [
        {"check": "slopes exist", "result": "pass", "says": "on all rows", "repaired by": "x"},
        {"check": EVIL, "result": "FAIL", "says": "twice", "repaired by": "float64"},
        {"check": "odd", "result": None, "says": "who knows", "repaired by": ""},
    ]
    made = panel(rows)
    assert [c.state for c in made] == ["bad", "bad", "good"]
    assert made[-1].fix == "" and made[0].fix == "float64"
    page = _section(_page("table", rows), "attacks")
    assert page.count('<li class="bad">') == 2 and "<b onload" not in page
    assert page.index("What helps: float64") < page.index("slopes exist")
    assert panel([{"method": "pgd"}]) == ()
