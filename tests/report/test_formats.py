"""Markdown, JSON, JUnit and SARIF: escaped, canonical, and of one mind with the page."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from tests.report import sample

from holdfast.cli.diff import diff
from holdfast.cli.progress import Told
from holdfast.cli.verdict import show
from holdfast.core.records import Finding, Outcome, Reading, Severity
from holdfast.report import render_html, render_json, render_junit, render_markdown, render_sarif
from holdfast.report.closing import cost
from holdfast.report.markdown import code, escape
from holdfast.report.numbers import interval


def test_markdown_tells_verdict_gates_worst_and_fixes() -> None:
    page = render_markdown(sample.results(), run=sample.run(), baseline=sample.baseline())
    assert page.startswith("### Holdfast: NOT READY\n")
    for gate in sample.results()["gates"]:
        (line,) = [x for x in page.splitlines() if f"`{gate['name']}`" in x and "needs" not in x
                   and x.startswith("| ") and "before" not in x and x.count("|") == 6 and any(
                       w in x for w in ("PASS", "FAIL", "UNDECIDED"))]  # fmt: skip
        assert "n=360" in line and "\\[" in line and "%" in line
    assert "Worst\\-case accuracy: 31\\.2%" in page and "Since baseline" in page
    assert "`holdfast guard demo.pt --temperature`" in page


def test_markdown_of_hostile_names_calls_and_renders_nothing() -> None:
    evil = "@team #12 <img src=x> [a](http://b) `c` | ![d](e) www.f.org **g**\n# h"
    escaped = escape(evil)
    assert "\n" not in escaped and "<" not in escaped.replace("&lt;", "")
    assert not re.search(r"@\w|(?<!\\)[\[\]`|*!]|www\\?\.|http:", escaped)
    assert "@\u200bteam" in escaped
    fenced = code(evil)
    assert "|" not in fenced and fenced.startswith("``") and fenced.endswith("``")
    document = sample.results()
    document["subject"]["name"] = document["verdict"]["says"] = evil
    document["actions"][0]["command"] = "x ``` y"
    page = render_markdown(document)
    assert "````x ``` y````" in page and "<img" not in re.sub(r"(`+).*?\1", "", page)


def test_json_is_canonical() -> None:
    one = {"b": [1.0, float("nan"), 1e-300], "a": {"y": 0.1 + 0.2, "x": -0.0}, "c": True}
    two = dict(reversed(one.items()))
    assert render_json(one) == render_json(two)
    assert json.loads(render_json(one)) == {
        "a": {"x": 0.0, "y": 0.3}, "b": [1.0, None, 1e-300], "c": True,
    }  # fmt: skip
    again = json.loads(render_json(sample.results()))
    assert render_json(again) == render_json(sample.results())


def test_junit_counts_what_it_lists() -> None:
    document = sample.results()
    document["outcomes"][0]["error"] = "boom \x00 <x>"
    document["outcomes"][1]["skipped"] = "too few rows"
    root = ElementTree.fromstring(render_junit(document))
    (suite,) = root
    assert root.tag == "testsuites" and suite.tag == "testsuite"
    assert root.get("skipped") is None, "the schema knows it of a suite only"
    for key in ("tests", "failures", "errors"):
        assert root.get(key) == suite.get(key)
    assert suite.get("tests") == str(len(suite)) == "8"
    for kind, attribute, count in (
        ("failure", "failures", 2), ("error", "errors", 2), ("skipped", "skipped", 1),
    ):  # fmt: skip
        assert len(suite.findall(f".//{kind}")) == count == int(str(suite.get(attribute)))


def test_sarif_lists_failed_gates_with_known_rules() -> None:
    document = json.loads(render_sarif(sample.results()))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = {r["id"] for r in run["tool"]["driver"]["rules"]}
    assert {r["ruleId"] for r in run["results"]} == rules
    levels = {r["ruleId"]: r["level"] for r in run["results"] if r["ruleId"].startswith("gate/")}
    assert levels == {
        "gate/attacks.worst@linf:8/255": "error", "gate/calibration.ece": "error",
        "gate/ood.auroc.far": "warning",
    }  # fmt: skip


def test_junit_has_the_form_that_its_schema_asks_for() -> None:
    """The published schema (Jenkins, xUnit): elements, their order, attributes, plain counts."""
    root = ElementTree.fromstring(render_junit(sample.results()))
    for case in root.iter("testcase"):
        assert case.get("name") and case.get("classname") and float(str(case.get("time"))) >= 0
        assert [c.tag for c in case] in (["failure"], ["error"], ["skipped"], ["system-out"])
        for child in case:
            assert child.text
            if child.tag in ("failure", "error"):
                assert set(child.keys()) == {"message", "type"}
    names = [(c.get("classname"), c.get("name")) for c in root.iter("testcase")]
    assert len(names) == len(set(names))


def test_sarif_has_the_form_that_its_schema_asks_for() -> None:
    document = json.loads(render_sarif(sample.results()))
    assert document["$schema"].endswith("sarif-2.1.0.json")
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] and all(r["shortDescription"]["text"] for r in driver["rules"])
    for one in run["results"]:
        assert driver["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
        assert one["level"] in ("none", "note", "warning", "error") and one["message"]["text"]
        (place,) = one["locations"]
        file = place["physicalLocation"]
        assert file["artifactLocation"]["uri"] and file["region"]["startLine"] >= 1
        assert place["logicalLocations"][0]["name"] == "demo.pt"
        assert len(one["partialFingerprints"]["holdfast/v1"]) == 32
    marks = [(r["ruleId"], r["partialFingerprints"]["holdfast/v1"]) for r in run["results"]]
    assert len({m for _, m in marks}) == len({r for r, _ in marks})


FLAG = "slopes exist: the slope is exactly zero on 64 of 64 rows"


def doubted() -> sample.Plain:
    """The sample with a doubt about its worst number and the gate on it."""
    document = sample.results()
    name = "attacks.worst@linf:8/255"
    for outcome in document["outcomes"]:
        for finding in outcome["findings"]:
            for reading in finding["readings"]:
                if reading["name"] == name:
                    reading["flags"] = [FLAG]
                    finding["severity"] = "failure"
    for gate in document["gates"]:
        gate["flags"] = [FLAG] if gate["name"] == name else []
    return document


def test_a_flagged_number_never_stands_without_its_flag_in_any_format() -> None:
    document, value = doubted(), "31.2%"
    page = re.sub(r"<script.*?</script>|<style.*?</style>", "", render_html(document), flags=re.S)
    places = [m.start() for m in re.finditer(re.escape(value), page)]
    assert len(places) >= 4  # worst number, card, table of numbers, table of gates
    for place in places:
        near = page[place - 200 : place + 900]
        assert "slopes exist" in near, near
    for text in (render_markdown(document), render_sarif(document), render_junit(document)):
        kept = text.replace("\\", "")
        lines = [x for x in kept.splitlines() if value in x]
        assert lines and all("slopes exist" in x for x in lines)
    held = json.loads(render_json(document))
    same = [r for o in held["outcomes"] for f in o["findings"] for r in f["readings"]]
    flagged = [r for r in [*same, *held["gates"]] if r["name"] == "attacks.worst@linf:8/255"]
    assert len(flagged) == 2 and all(r["flags"] == [FLAG] for r in flagged)
    out = io.StringIO()
    show(document, seconds=1.0, report="report.html", stream=out)
    lines = [x for x in out.getvalue().splitlines() if value in x]
    assert lines and all("slopes exist" in x for x in lines)


def test_progress_and_diff_print_the_flag_beside_the_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading = Reading(
        name="attacks.worst@linf:8/255", value=0.312, low=0.284, high=0.341, n=360, bound="upper",
        threat="linf:8/255", flags=(FLAG,),
    )  # fmt: skip
    finding = Finding(severity=Severity.FAILURE, says="x", readings=(reading,))
    outcome = Outcome(check="check:worst-case", findings=(finding,))
    out = io.StringIO()
    told = Told(out)
    cell = SimpleNamespace(name="check:worst-case", place=0)
    told.finished(SimpleNamespace(outcome=outcome, cell=cell, times={}), False)  # type: ignore[arg-type]
    assert "31.2%" in out.getvalue() and "slopes exist" in out.getvalue()
    assert "31.2%" in told.status() and "1 self-checks failed" in told.status()

    class Fixed:
        def __init__(self, *_: object) -> None: ...

        def find_run(self, name: str) -> SimpleNamespace:
            return SimpleNamespace(id=name)

        def folder(self, name: str) -> Path:
            return Path(name)

        def results(self, name: str) -> sample.Plain:
            return sample.baseline() if name == "a" else doubted()

    monkeypatch.setattr("holdfast.run.store.Store", Fixed)
    diff("a", "b", json=False, all_=True)
    lines = [x for x in capsys.readouterr().out.splitlines() if "31.2%" in x]
    assert lines and all("slopes exist" in x for x in lines)


def test_all_formats_bear_nothing_at_all() -> None:
    for render in (render_markdown, render_json, render_junit, render_sarif):
        assert render({})


def test_the_report_imports_no_tensor_library() -> None:
    program = (
        "import sys, holdfast.report; "
        "print({'torch', 'numpy', 'scipy', 'sklearn', 'duckdb', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("low", "high", "unit", "told"),
    [
        (0.00476, 0.0138, "squared distance", "[0.0048, 0.0138]"),
        (0.911, 0.93, "rank correlation", "[0.911, 0.930]"),
        (0.00922, 0.0786, "", "[0.0092, 0.0786]"), (1.2, 150.0, "nats", "[1, 150]"),
        (-0.5, 0.25, "", "[-0.50, 0.25]"), (0.284, 0.341, "share", "[28.4, 34.1]"),
        (0.0, 1.0, "", "[0, 1]"), (None, 0.25, "", "[?, 0.25]"), (3, 12, "rows", "[3, 12]"),
        (2e-6, 1.1e-4, "area", "[2.00e-06, 1.10e-04]"), (None, None, "", "no interval"),
    ],
)  # fmt: skip
def test_both_ends_of_an_interval_have_the_same_decimals(low, high, unit, told) -> None:
    assert interval(low, high, unit) == told


def test_a_gate_without_a_number_says_so_and_keeps_its_percent() -> None:
    document = sample.results()
    gate = dict(document["gates"][0]) | {
        "name": "certificates.proved@*", "value": None, "low": None, "high": None, "n": 0,
        "unit": "", "limit": 0.2, "verdict": "missing", "says": "its rows were not in memory",
    }  # fmt: skip
    document["gates"] = [gate]
    page = render_html(document)
    (row,) = re.findall(r"<tr class=.missing.>.*?</tr>", page)
    assert "no number" in row and "20%" in row and "n=0" not in row


def test_costs_that_nobody_sees_are_left_out_and_moments_are_legible() -> None:
    facts = {
        "checks": {"check:worst-case": 35.3, "check:ood": 0.0002}, "seconds": 54.9,
        "finished": "2026-11-22T18:43:26+00:00", "command": "holdfast audit x",
    }  # fmt: skip
    made = cost(facts)
    assert made is not None and [r[0] for r in made.more["rows"]] == ["worst-case"]
    assert made.more["facts"] == [("Took", "54.9 s"), ("Finished", "2026-11-22 18:43:26 UTC")]
