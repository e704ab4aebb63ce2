"""Markdown, JSON, JUnit and SARIF: escaped, canonical, and of one mind with the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

from tests.report import sample

from holdfast.report import render_json, render_junit, render_markdown, render_sarif
from holdfast.report.markdown import code, escape


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
    suite = ElementTree.fromstring(render_junit(document))
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
