"""What code hosts show: lines of gates, kinds, no forged command, accepted risks with reason."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from tests.cli import schema_rules
from tests.report import sample

from holdfast.report import (
    render_github,
    render_html,
    render_junit,
    render_markdown,
    render_sarif,
)
from holdfast.report.github import MOST

NAME = "attacks.worst@linf:8/255"
SAYS = "accepted by Anna until 2030-06-15: sealed camera"


def accepted() -> sample.Plain:
    """The sample in which the worst case is accepted."""
    document = sample.results()
    held = {"gate": NAME, "name": "Anna", "reason": "sealed camera", "until": "2030-06-15"}
    (gate,) = [g for g in document["gates"] if g["name"] == NAME]
    gate |= {"verdict": "accepted", "says": SAYS, "accepted": held, "rule": "attacks.worst@*"}
    return document


def test_annotations_point_at_the_line_of_their_rule() -> None:
    lines = {"attacks.worst@*": 7, "calibration.ece": 9}
    told = render_github(accepted(), file="ci/holdfast.toml", lines=lines).splitlines()
    ece, ood, worst = told
    assert ece.startswith("::error file=ci/holdfast.toml,line=9,title=Holdfast%3A FAIL calibration")
    assert ood.startswith("::warning title=Holdfast%3A UNDECIDED ood.auroc.far::")
    assert worst.startswith("::notice file=ci/holdfast.toml,line=7,title=")
    assert worst.endswith(SAYS) and "31.2%25" in worst


def test_no_name_can_end_a_command_or_begin_one() -> None:
    document = sample.results()
    evil = "x,line=1::y\r\n::error::forged %0A"
    document["gates"][0] |= {"name": evil, "says": evil}
    told = render_github(document)
    assert told.count("\n") == 3 and "\r" not in told
    first = told.splitlines()[0]
    head = first.removeprefix("::error ").partition("::")[0]
    assert "," not in head.removeprefix("title=") and "%250A" in first


def test_more_than_a_host_shows_is_counted() -> None:
    document = sample.results()
    document["gates"] = [document["gates"][0] | {"name": f"clean.{k}"} for k in range(25)]
    told = render_github(document).splitlines()
    assert len(told) == MOST and "and 16 more" in told[-1]


def test_an_audit_without_a_gate_to_blame_is_a_warning_and_a_good_one_is_silent() -> None:
    document = sample.results() | {"gates": []}
    document["verdict"] = {"word": "INCOMPLETE", "code": 130, "says": "It was stopped."}
    assert render_github(document) == "::warning title=Holdfast%3A INCOMPLETE::It was stopped.\n"
    assert render_github({"verdict": {"word": "READY", "code": 0}}) == ""


def test_sarif_knows_the_line_and_suppresses_what_is_accepted() -> None:
    text = render_sarif(accepted(), file="ci/holdfast.toml", lines={"attacks.worst@*": 7})
    assert schema_rules.sarif(text) == []
    found = {r["ruleId"]: r for r in json.loads(text)["runs"][0]["results"]}
    one = found[f"gate/{NAME}"]
    place = one["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "ci/holdfast.toml"}, "region": {"startLine": 7}}
    (held,) = one["suppressions"]
    assert one["level"] == "note" and held["status"] == "accepted" and held["justification"] == SAYS
    errors = [r for r, one in found.items() if one["level"] == "error"]
    assert errors == ["gate/calibration.ece"]


def test_a_serious_finding_is_no_error_of_sarif() -> None:
    document = sample.results()
    document["outcomes"][0]["findings"][0]["severity"] = "failure"
    results = json.loads(render_sarif(document))["runs"][0]["results"]
    assert {r["ruleId"] for r in results if r["level"] == "error"} == {
        f"gate/{NAME}", "gate/calibration.ece",
    }  # fmt: skip
    assert any(r["ruleId"] == "check:clean" and r["level"] == "warning" for r in results)


def test_fingerprints_do_not_follow_the_line() -> None:
    def marks(**more: object) -> list[str]:
        runs = json.loads(render_sarif(sample.results(), **more))["runs"]  # type: ignore[arg-type]
        return [r["partialFingerprints"]["holdfast/v1"] for r in runs[0]["results"]]

    assert marks() == marks(lines={NAME: 40})


def test_who_accepted_stands_in_every_form() -> None:
    document = accepted()
    suite = ElementTree.fromstring(render_junit(document))[0]
    (case,) = [c for c in suite if c.get("name") == NAME]
    assert [c.tag for c in case] == ["skipped"] and SAYS in str(case[0].text)
    assert suite.get("failures") == "1"
    (line,) = [x for x in render_markdown(document).splitlines() if "ACCEPTED" in x]
    assert "accepted by Anna until 2030\\-06\\-15" in line
    page = render_html(document)
    assert 'class="gate accepted"' in page and "Anna, until 2030-06-15" in page
    assert page.count(SAYS) >= 2


@pytest.mark.parametrize(
    "broken",
    [
        '<testsuites><testsuite name="a" tests="2" failures="0" errors="0" skipped="0"/>'
        "</testsuites>",
        '<testsuites skipped="1"/>',
        '<testsuites><testsuite name="a" tests="0" failures="0" errors="0" skipped="0">'
        "<failure/></testsuite></testsuites>",
        '<testsuites><testsuite tests="-1" failures="0" errors="0" skipped="0"/></testsuites>',
    ],
)
def test_the_rules_of_junit_catch_broken_files(broken: str) -> None:
    assert schema_rules.junit(broken)


def test_the_rules_of_sarif_catch_broken_files() -> None:
    def wrong(change) -> list[str]:
        log = json.loads(render_sarif(sample.results()))
        change(log, log["runs"][0], log["runs"][0]["results"][0])
        return schema_rules.sarif(json.dumps(log))

    assert wrong(lambda log, run, one: None) == []
    assert wrong(lambda log, run, one: log.pop("version"))
    assert wrong(lambda log, run, one: one.update(level="fatal"))
    assert wrong(lambda log, run, one: one.update(extra=1))
    assert wrong(lambda log, run, one: one.update(ruleIndex=99))
    assert wrong(lambda log, run, one: one.pop("message"))
    assert wrong(lambda log, run, one: run["results"].extend([one] * 5000))
    assert wrong(lambda log, run, one: one.update(suppressions=[{"kind": "mine"}]))
