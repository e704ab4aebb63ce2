"""Word, exit code, JUnit, SARIF, JSON, Markdown and screen say the same of any audit.

Ten thousand random documents are tried with HOLDFAST_FUZZ=10000; fewer by default.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
from collections import Counter
from xml.etree import ElementTree

from holdfast.cli.verdict import show
from holdfast.core.records import Finding, Outcome, Reading, Severity
from holdfast.report import render_json, render_junit, render_markdown, render_sarif
from holdfast.run.gates import gate
from holdfast.run.verdict import CUT, STOPPED, verdict
from holdfast.run.writing import plain

DOCUMENTS = int(os.environ.get("HOLDFAST_FUZZ", "2000"))
NAMES = (
    "clean.accuracy", "attacks.worst@linf:8/255", "attacks.worst@l2:0.5", "calibration.ece",
    "certificates.proved@linf:2/255", "corruptions.mean", "ood.auroc", "slices.worst",
)  # fmt: skip
RULES = (
    ">= 0.5", ">= 90%", "<= 0.05", "> 0.2", "< 0.8", ">= baseline - 0.01", "<= baseline + 0.1",
)  # fmt: skip
ODD = (float("nan"), float("inf"), float("-inf"))
WORDS = {0: ("READY",), 1: ("NOT READY",), 3: ("UNDECIDED", "INCOMPLETE"), 130: ("INCOMPLETE",)}


def reading(rng: random.Random) -> Reading:
    low, value, high = sorted(rng.choice((rng.random(), rng.uniform(0, 0.1))) for _ in range(3))
    ends = [rng.choice(ODD) if rng.random() < 0.03 else v for v in (value, low, high)]
    return Reading(
        name=rng.choice(NAMES), value=ends[0], low=ends[1], high=ends[2], n=rng.randrange(2000),
        bound=rng.choice(("upper", "lower", "estimate", "exact")),
        unit=rng.choice(("share", "share", "nats")), better=rng.choice(("higher", "lower")),
        flags=("gradients are masked",) if rng.random() < 0.1 else (),
    )  # fmt: skip


def outcome(rng: random.Random, place: int) -> Outcome:
    name = f"check:{rng.choice(('clean', 'worst-case', 'ood', 'calibration'))}"
    fate = rng.random()
    if fate < 0.06:
        return Outcome(check=name, section="clean", error="RuntimeError: <b>no</b> | `x`")
    if fate < 0.16:
        why = rng.choice((CUT, "there is no writer to ask about\nGive one.", "cannot do it"))
        return Outcome(check=name, section="clean", skipped=why)
    if fate < 0.18:
        return Outcome(check=name, section="clean", skipped=f"{STOPPED}\nIt continues.")
    findings = tuple(
        Finding(
            severity=rng.choice(list(Severity)), says=f"Finding {place} & <more>.",
            readings=tuple(reading(rng) for _ in range(rng.randrange(3))),
        )
        for _ in range(rng.randrange(3))
    )  # fmt: skip
    return Outcome(check=name, section="attacks", findings=findings)


def document(rng: random.Random) -> dict[str, object]:
    outcomes = [outcome(rng, k) for k in range(rng.randrange(5))]
    gates = [
        gate(rng.choice((*NAMES, "attacks.worst@*", "*", "nothing.here")), rng.choice(RULES))
        for _ in range(rng.randrange(6))
    ]
    readings = [r for o in outcomes for r in o.readings]
    before = {n: rng.random() for n in NAMES if rng.random() < 0.5}
    judged = verdict(readings, gates, outcomes, rng.choice((None, before)))
    made: dict[str, object] = plain({
        "schema_version": 1, "suite": "fuzz", "seed": 0,
        "subject": {"name": "net|`<b>`", "data": {"n": 10}, "threats": []}, "preflight": [],
        "outcomes": outcomes, "gates": list(judged.gates), "gates_from": "default",
        "verdict": {"word": judged.word, "code": judged.code, "says": judged.says},
        "actions": [], "not_tested": [], "methods": [], "command": "holdfast audit net",
    })  # fmt: skip
    return made


def agrees(results: dict[str, object], said: dict[str, object], gates: Counter[str]) -> None:
    """One document in all its forms."""
    word, code = str(said["word"]), int(str(said["code"]))
    assert word in WORDS[code]
    stopped, broken = gates.pop("stopped", 0), gates.pop("crashed", 0)
    open_ = gates["undecided"] + gates["missing"]
    expected = 130 if stopped else 1 if gates["fail"] else 3 if open_ or broken else 0
    assert code == expected, "the exit code follows from gates and outcomes alone"

    known = json.loads(render_json(results))["verdict"]
    assert (known["word"], known["code"]) == (word, code)

    suite = ElementTree.fromstring(render_junit(results))
    failures, errors = int(suite.get("failures", "-1")), int(suite.get("errors", "-1"))
    assert failures == gates["fail"] == len(suite.findall(".//failure"))
    assert errors == len(suite.findall(".//error")) >= open_ + broken
    assert (failures + errors == 0) == (code == 0)

    (one,) = json.loads(render_sarif(results))["runs"]
    rules = Counter(r["level"] for r in one["results"] if r["ruleId"].startswith("gate/"))
    assert (rules["error"], rules["warning"]) == (gates["fail"], open_)
    about = [r for r in one["results"] if r["ruleId"].startswith(("gate/", "verdict"))]
    assert (not about) == (code == 0)

    markdown = render_markdown(results)
    assert markdown.splitlines()[0] == f"### Holdfast: {word}"
    shown = Counter(re.findall(r"^\| \S+ (PASS|FAIL|UNDECIDED|MISSING) \|", markdown, re.M))
    assert shown["FAIL"] == gates["fail"] and shown["PASS"] == gates["pass"]
    assert shown["UNDECIDED"] + shown["MISSING"] == open_

    screen = io.StringIO()
    show(results, seconds=1.0, report="r.html", stream=screen)
    assert screen.getvalue().splitlines()[1].startswith(f"  {word}   ")


def test_every_form_of_a_random_audit_says_the_same():
    rng, seen = random.Random(8), Counter[int]()
    for _ in range(DOCUMENTS):
        results = document(rng)
        said = results["verdict"]
        assert isinstance(said, dict)
        rows = results["outcomes"]
        assert isinstance(rows, list) and isinstance(results["gates"], list)
        gates = Counter(str(g["verdict"]) for g in results["gates"])
        gates["stopped"] = sum(o["skipped"].startswith(STOPPED) for o in rows)
        gates["crashed"] = sum(bool(o["error"]) for o in rows)
        agrees(results, said, gates)
        seen[int(said["code"])] += 1
    assert all(seen[code] > DOCUMENTS // 100 for code in (0, 1, 3, 130)), "all codes are met"
