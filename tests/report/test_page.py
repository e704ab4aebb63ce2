"""The page: policy by hash, hostile names, size, order of sections, numbers with intervals."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.report import sample

import holdfast.report
from holdfast.report import render_html
from holdfast.report.page import LIMIT
from holdfast.report.words import SECTIONS

EVIL = '</script><img src=x onerror="alert(1)"> {{7*7}} \u202e \u2028 <!--<script>'
VEGA = Path(holdfast.report.__file__).parent / "assets" / "vega"


class Seen(HTMLParser):
    """Elements, attributes, and the content of scripts and styles as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.held: dict[str, list[str]] = {"script": [], "style": [], "json": []}
        self.text: list[str] = []
        self._in = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self._in = "json" if dict(attrs).get("type") == "application/json" else tag
            self.held[self._in].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = "" if tag in {"script", "style"} else self._in

    def handle_data(self, data: str) -> None:
        if self._in:
            self.held[self._in][-1] += data
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def page() -> str:
    return render_html(sample.results(), run=sample.run(), baseline=sample.baseline())


def policy(seen: Seen) -> str:
    found = [a for t, a in seen.elements if t == "meta" and "http-equiv" in a]
    return str(found[0]["content"])


def sha(content: str) -> str:
    raw = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(raw).decode()}'"


def test_policy_names_exactly_the_scripts_and_the_style(page: str) -> None:
    seen = Seen(page)
    rules = dict(r.strip().partition(" ")[::2] for r in policy(seen).split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert rules["script-src"].split() == [sha(s) for s in seen.held["script"]]
    assert rules["style-src"].split() == [sha(s) for s in seen.held["style"]]
    assert "unsafe" not in policy(seen) and len(seen.held["style"]) == 1


def test_nothing_inline_and_nothing_loaded(page: str) -> None:
    for tag, attributes in Seen(page).elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert name != "style" and not name.startswith("on")
            if name == "src":
                assert tag == "img" and str(value).startswith("data:image/png;base64,")


def _poisoned(value: Any) -> Any:
    """Every free text of the document replaced by the hostile one."""
    fixed = {
        "section",
        "severity",
        "kind",
        "bound",
        "unit",
        "better",
        "verdict",
        "relation",
        "word",
    }
    if isinstance(value, dict):
        return {k: v if k in fixed else _poisoned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_poisoned(v) for v in value]
    return EVIL if isinstance(value, str) else value


def test_hostile_texts_stay_text() -> None:
    page = render_html(_poisoned(sample.results()), run=_poisoned(sample.run()))
    harmless = Seen(render_html(sample.results(), run=sample.run()))
    seen = Seen(page)
    # Pictures and links vanish (their addresses were replaced); nothing may appear.
    allowed = {t for t, _ in harmless.elements}
    assert {t for t, _ in seen.elements} <= allowed
    assert len(seen.held["script"]) == len(harmless.held["script"])
    assert not [a for t, a in seen.elements if t == "img" or a.get("src")]
    assert "{{7*7}}" in seen.words and "\u202e" not in page
    assert not re.search(r"[<>&\u2028\u2029]", seen.held["json"][0])


def test_links_and_pictures_are_checked() -> None:
    document = sample.results()
    document["methods"][0]["link"] = "javascript:alert(1)"
    gallery = document["outcomes"][2]["findings"][0]["figures"][1]["rows"]
    gallery[0]["image"] = "https://example.org/a.png"
    gallery[0]["changed"] = "data:image/svg+xml;base64,AAAA"
    gallery[0]["difference"] = 'data:image/png;base64,AA" onerror="x'
    page = render_html(document)
    shown = [str(v) for _, a in Seen(page).elements for n, v in a.items() if n in {"src", "href"}]
    assert len([v for v in shown if v.startswith("data:")]) == 3 * 4 - 3
    assert not [v for v in shown if not v.startswith(("data:image/png;base64,", "https://", "#"))]
    assert not [n for _, a in Seen(page).elements for n in a if n.startswith("on")]


def test_size_with_every_section_and_with_far_too_much(page: str) -> None:
    assert len(page.encode("utf-8")) <= LIMIT == 1_500_000
    document = sample.results()
    gallery = document["outcomes"][2]["findings"][0]["figures"][1]["rows"]
    gallery[0]["image"] = "data:image/png;base64," + "A" * 2_000_000
    slices = document["outcomes"][5]["findings"][0]
    row = {f"column {i}": "x" * 150 for i in range(12)}
    slices["figures"] = [sample.figure(f"t{i}", "table", "t", "t", [row] * 300) for i in range(20)]
    large = render_html(document)
    assert len(large.encode("utf-8")) <= LIMIT
    assert "more rows in results.json" in large and "more without a picture" in large


def test_sections_in_order_and_absent_without_content(page: str) -> None:
    found = [a["id"] for t, a in Seen(page).elements if t == "section"]
    assert found == list(SECTIONS)
    bare = {"verdict": {"word": "READY", "says": "All gates pass.", "code": 0}}
    seen = Seen(render_html(bare))
    assert not [t for t, _ in seen.elements if t == "section"] and "READY" in seen.words
    assert len(seen.held["script"]) == 1  # no chart, no chart library
    one = copy.deepcopy(bare) | {"not_tested": [{"check": "check:ood", "reason": "too few rows"}]}
    assert [a["id"] for t, a in Seen(render_html(one)).elements if t == "section"] == ["not-tested"]


@pytest.mark.parametrize("broken", [None, 3, "x", [], [None], {}, {"findings": 1}, float("nan")])
def test_any_part_may_be_missing_or_wrong(broken: Any) -> None:
    for key in sample.results():
        assert render_html(sample.results() | {key: broken}).startswith("<!doctype html>")
    document = sample.results()
    for found in (f for o in document["outcomes"] for f in o["findings"]):
        for figure in found["figures"]:
            for row in figure["rows"]:
                row |= dict.fromkeys(row, broken)
        for reading in found["readings"]:
            reading |= dict.fromkeys(("value", "low", "high", "n", "flags", "unit"), broken)
    assert ("not determined" in render_html(document)) is (broken != 3)


def test_every_reading_stands_with_interval_n_bound_threat_and_flags(page: str) -> None:
    rows = [
        " ".join(re.sub(r"<[^>]+>", " ", r).split())
        for r in re.findall(r"<tr>.*?</tr>", page, re.S)
    ]
    for outcome in sample.results()["outcomes"]:
        for r in (r for f in outcome["findings"] for r in f["readings"]):
            share = r["unit"] == "share"
            value = f"{100 * r['value']:.1f}%" if share else f"{r['value']:.3g}"
            found = [x for x in rows if value in x and f" {r['n']} " in x and "[" in x]
            found = [x for x in found if (r["threat"] or "none") in x]
            found = [x for x in found if all(flag in x for flag in r["flags"])]
            word = {"upper": "upper bound", "lower": "lower bound"}.get(r["bound"], r["bound"])
            assert [x for x in found if word in x], r["name"]
    cards = re.findall(r'<div class="gate .*?</p>\s*</div>', page, re.S)
    assert len(cards) == 6
    for card in cards:
        assert re.search(r"\[[\d.]+, [\d.]+\]", card) and "n=360" in card and "needs" in card
        assert re.search(r"PASS|FAIL|UNDECIDED", card)


def test_verdict_sentence_speaks_in_words() -> None:
    seen = Seen(render_html(sample.results()))
    assert "2 of 6 gates fail: worst-case accuracy and calibration error." in seen.words


def test_rendering_is_a_function(page: str) -> None:
    again = render_html(sample.results(), run=sample.run(), baseline=sample.baseline())
    assert again == page


def test_vendored_files_are_the_published_ones() -> None:
    lines = (VEGA / "SHA256SUMS").read_text().splitlines()
    listed = {line.split()[1]: line.split()[0] for line in lines}
    present = {p.name for p in VEGA.iterdir()} - {"SHA256SUMS"}
    assert present == set(listed)
    for name, expected in listed.items():
        assert hashlib.sha256((VEGA / name).read_bytes()).hexdigest() == expected
    for name in ("vega", "vega-lite", "vega-embed"):
        assert "Redistribution" in (VEGA / f"{name}.LICENSE").read_text()
        source = (VEGA / f"{name}.min.js").read_text(encoding="utf-8").lower()
        assert "</script" not in source and "<!--" not in source and "\r" not in source


def top(document: Any) -> str:
    """The words of the first screen."""
    return Seen(render_html(document).split("</header>")[0]).words


def test_radii_stand_in_both_units_where_rows_are_a_table() -> None:
    document = sample.results()
    document["subject"]["units"] = [{"column": "area", "low": 100.0, "high": 300.0}]
    assert "up to 3.14% of every column's range" in top(document)
    assert "linf:8/255" in top(document)
    assert "share of each column's range)" in render_html(document)
    assert "up to 3.14% per value" in top(sample.results())


def test_a_stopped_audit_says_how_to_go_on() -> None:
    document = sample.results()
    document["verdict"] = {"word": "INCOMPLETE", "code": 130, "says": "It was stopped."}
    words = top(document)
    assert "Finish the audit" in words and document["command"] in words


def test_a_gate_without_a_number_says_why() -> None:
    document = sample.results()
    gate = document["gates"][0]
    gate |= {"verdict": "missing", "value": None, "low": None, "high": None, "says": "no rows"}
    words = top(document)
    assert "MISSING not tested no rows" in words


def test_equal_names_are_told_apart_by_their_threat() -> None:
    document = sample.results()
    twin = document["gates"][0] | {"name": "attacks.worst@l2:0.5"}
    document["gates"].append(twin)
    document["verdict"]["says"] = "2 fail: attacks.worst@linf:8/255 and attacks.worst@l2:0.5."
    assert "worst-case accuracy (linf:8/255) and worst-case accuracy (l2:0.5)" in top(document)


def test_attributions_stand_with_the_explanations_not_with_the_failures() -> None:
    document = sample.results()
    picture = sample.png(1)
    row = {"title": "why 3", "caption": "row 5", "image": picture, "reasons": picture}
    figure = sample.figure("attributions", "gallery", "Attributions", "They hold.", [row])
    kept = next(o for o in document["outcomes"] if o["section"] == "explanations")
    kept["findings"].append(sample.finding("good", "They hold.", figures=[figure]))
    page = render_html(document)
    parts = {m[1]: m[2] for m in re.finditer(r'<section id="([\w-]+)">(.*?)</section>', page, re.S)}
    assert "why 3" in parts["explanations"] and "attribution" in parts["explanations"]
    assert "why 3" not in parts["failures"]
