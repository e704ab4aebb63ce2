"""Rules of the JUnit and SARIF 2.1.0 schemas, in our own words, as far as we use these formats.

What stands here is their closed world for the elements and properties that we write: required and
allowed properties, types, enumerations, patterns, and the limits up to which code hosts read a
file. Each function returns what is wrong. `tests/report/test_schemas.py` mutates files and finds
nothing that the published schemas refuse and these rules let pass.
"""

from __future__ import annotations

import gzip
import json
import re
from typing import Any
from xml.etree import ElementTree

# Elements: attributes that must be there, attributes that may be, children that may be.
JUNIT: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "disabled", "errors"},
                   {"testsuite"}),
    "testsuite": ({"name", "tests"}, {"failures", "errors", "time", "skipped", "timestamp", "id"},
                  {"testcase", "properties", "system-out", "system-err"}),
    "testcase": ({"name", "classname"}, {"time"},
                 {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": (set(), {"message", "type"}, set()),
    "error": (set(), {"message", "type"}, set()),
    "skipped": (set(), {"message", "type"}, set()),
    "system-out": (set(), set(), set()),
}  # fmt: skip
BOXES = ("testsuites", "testsuite", "testcase")  # no words stand between their elements
COUNTS = ("tests", "failures", "errors", "skipped", "disabled")
# Objects of SARIF: property -> (required, type or the name of an object).
SARIF: dict[str, dict[str, tuple[bool, Any]]] = {
    "log": {"$schema": (False, str), "version": (True, str), "runs": (True, ["run"])},
    "run": {"tool": (True, "tool"), "results": (False, ["result"]), "columnKind": (False, str)},
    "tool": {"driver": (True, "driver")},
    "driver": {"name": (True, str), "version": (False, str), "rules": (False, ["rule"])},
    "rule": {"id": (True, str), "shortDescription": (False, "message")},
    "result": {
        "ruleId": (False, str), "ruleIndex": (False, int), "level": (False, str),
        "message": (True, "message"), "locations": (False, ["location"]),
        "partialFingerprints": (False, {}), "suppressions": (False, ["suppression"]),
    },
    "message": {"text": (True, str)},
    "location": {"physicalLocation": (False, "physical"), "logicalLocations": (False, ["logical"])},
    "physical": {"artifactLocation": (True, "artifact"), "region": (False, "region")},
    "artifact": {"uri": (True, str)},
    "region": {"startLine": (True, int)},
    "logical": {"name": (False, str), "kind": (False, str)},
    "suppression": {"kind": (True, str), "status": (False, str), "justification": (False, str)},
}  # fmt: skip
ENUMS = {
    ("log", "version"): ("2.1.0",),
    ("result", "level"): ("none", "note", "warning", "error"),
    ("run", "columnKind"): ("utf16CodeUnits", "unicodeCodePoints"),
    ("suppression", "kind"): ("inSource", "external"),
    ("suppression", "status"): ("accepted", "underReview", "rejected"),
}
UNIQUE = ("rules", "logicalLocations", "suppressions")  # lists in which nothing stands twice
MOST_RUNS, MOST_RESULTS, MOST_BYTES = 20, 5_000, 10_000_000


def junit(text: str) -> list[str]:
    """What in a JUnit file breaks the rules: elements, attributes, counts that do not add up."""
    root, wrong = ElementTree.fromstring(text), []
    for one in root.iter():
        if one.tag not in JUNIT:
            wrong.append(f"unknown element {one.tag}")
            continue
        needs, may, children = JUNIT[one.tag]
        wrong += [f"{one.tag} lacks {k}" for k in needs - set(one.keys())]
        wrong += [f"{one.tag} must not bear {k}" for k in set(one.keys()) - needs - may]
        wrong += [f"{c.tag} within {one.tag}" for c in one if c.tag not in children]
        if one.tag in BOXES and "".join([one.text or "", *[c.tail or "" for c in one]]).strip():
            wrong.append(f"words within {one.tag}")
        for key in COUNTS:
            if (value := one.get(key)) is not None and not re.fullmatch(r"\d+", value):
                wrong.append(f"{one.tag}.{key} is {value!r}")
        if (time := one.get("time")) is not None and not re.fullmatch(r"\d+(\.\d+)?", time):
            wrong.append(f"{one.tag}.time is {time!r}")
    for suite in root.iter("testsuite"):
        found = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error",
                 "skipped": "testcase/skipped"}  # fmt: skip
        wrong += [
            f"{k}={suite.get(k)}, but {len(suite.findall(path))} are there"
            for k, path in found.items()
            if suite.get(k) != str(len(suite.findall(path)))
        ]
    return wrong if root.tag == "testsuites" else [*wrong, f"the root is {root.tag}"]


def _walk(value: Any, kind: Any, place: str) -> list[str]:
    """What is wrong with a value of a kind: an object's name, a list of them, or a plain type."""
    if isinstance(kind, list):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        told = [json.dumps(v, sort_keys=True) for v in value]
        if place.endswith(UNIQUE) and len(set(told)) != len(told):
            return [f"{place} says something twice"]
        return [w for k, v in enumerate(value) for w in _walk(v, kind[0], f"{place}[{k}]")]
    if isinstance(kind, dict):  # a bag of texts
        fine = isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        return [] if fine else [f"{place} is no bag of texts"]
    if not isinstance(kind, str):
        fine = isinstance(value, kind) and not isinstance(value, bool)
        return [] if fine else [f"{place} is {value!r}"]
    if not isinstance(value, dict):
        return [f"{place} is no object"]
    known = SARIF[kind]
    wrong = [f"{place} lacks {k}" for k, (must, _) in known.items() if must and k not in value]
    wrong += [f"{place} must not bear {k}" for k in value if k not in known]
    for key in value.keys() & known.keys():
        wrong += _walk(value[key], known[key][1], f"{place}.{key}")
        if (kind, key) in ENUMS and value[key] not in ENUMS[kind, key]:
            wrong.append(f"{place}.{key} is {value[key]!r}")
    return wrong


def sarif(text: str) -> list[str]:
    """What in a SARIF file breaks the rules: form, references, identities, limits of hosts."""
    log = json.loads(text)
    if wrong := _walk(log, "log", "log"):
        return wrong
    if len(log["runs"]) > MOST_RUNS or len(gzip.compress(text.encode())) > MOST_BYTES:
        wrong.append("too large for code hosts")
    for run in log["runs"]:
        rules = [r["id"] for r in run["tool"]["driver"].get("rules", [])]
        if len(set(rules)) != len(rules):
            wrong.append("rules are not unique")
        results = run.get("results", [])
        if len(results) > MOST_RESULTS:
            wrong.append(f"{len(results)} results")
        for one in results:
            index = one.get("ruleIndex", -1)
            if not -1 <= index < len(rules) or (index >= 0 and rules[index] != one["ruleId"]):
                wrong.append(f"ruleIndex {index} is not {one['ruleId']}")
            for place in one.get("locations", []):
                spot = place["physicalLocation"]
                if spot["region"]["startLine"] < 1:
                    wrong.append("lines are counted from 1")
                if re.search(r"[\s<>\"{}|\\^`]", spot["artifactLocation"]["uri"]):
                    wrong.append(f"no URI: {spot['artifactLocation']['uri']!r}")
            if not one["message"]["text"]:
                wrong.append("a message is empty")
    return wrong
