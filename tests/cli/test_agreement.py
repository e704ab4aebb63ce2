"""Word, exit code, JUnit, SARIF, JSON, Markdown, annotations, page and screen say the same.

Three hundred fuzzed result sets are tried; as many as HOLDFAST_FUZZ says, if it is set (`make
fuzz` tries ten thousand). JUnit and SARIF are held against the rules of their schemas each time:
`schema_rules.py` states those rules in our own words, and `tests/report/test_schemas.py` holds them
against the published ones.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree

from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from tests.cli import schema_rules

from holdfast.cli.verdict import show
from holdfast.core.records import Finding, Outcome, Reading, Severity
from holdfast.report import render_github, render_json, render_junit, render_markdown, render_sarif
from holdfast.report.screen import screen
from holdfast.run.accepted import Acceptance
from holdfast.run.gates import gate
from holdfast.run.verdict import CUT, STOPPED, verdict
from holdfast.run.writing import plain

SETS = int(os.environ.get("HOLDFAST_FUZZ", "300"))
NAMES = (
    "clean.accuracy", "attacks.worst@linf:8/255", "attacks.worst@l2:0.5", "calibration.ece",
    "certificates.proved@linf:2/255", "ood.auroc",
)  # fmt: skip
RULES = (">= 0.5", ">= 95%", ">= 4%", "<= 0.93", "> 0.2", "< 0.95", ">= baseline - 0.01")
WORDS = {0: ("READY",), 1: ("NOT READY",), 3: ("UNDECIDED", "INCOMPLETE"), 130: ("INCOMPLETE",)}
TODAY = date(2030, 6, 15)
NUMBERS = (0.0, 0.01, 0.04, 0.3, 0.5, 0.62, 0.9, 0.93, 1.0)
SEEN: Counter[str] = Counter()


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    ends = sorted(draw(st.tuples(*[st.sampled_from(NUMBERS)] * 3)))
    odd = draw(st.sampled_from([-1] * 15 + [0, 1, 2]))
    if odd >= 0:
        ends[odd] = draw(st.sampled_from((float("nan"), float("inf"), float("-inf"))))
    return Reading(
        name=draw(st.sampled_from(NAMES)), value=ends[1], low=ends[0], high=ends[2], n=100,
        bound=draw(st.sampled_from(("upper", "lower", "estimate", "exact"))),
        unit=draw(st.sampled_from(("share", "nats"))),
        flags=("gradients are masked: <50%>",) if draw(st.integers(0, 9)) == 9 else (),
    )  # fmt: skip


FATES: tuple[dict[str, str], ...] = (
    {}, {}, {"error": "RuntimeError: <b>no</b> | `x` \x00"}, {"skipped": CUT},
    {"skipped": "there is no writer\nGive one."}, {"skipped": f"{STOPPED}\nIt goes on."},
)  # fmt: skip
SECTIONS = ("clean", "attacks", "ood", "certificates")


@st.composite
def outcomes(draw: st.DrawFn) -> list[Outcome]:
    """A check that measured something, and checks that came to another end."""
    found = tuple(
        Finding(severity=draw(st.sampled_from(Severity)), says="Is & <more>, 5%.", readings=(r,))
        for r in draw(st.lists(readings(), min_size=1, max_size=4))
    )
    first = Outcome(check="check:worst-case", section="attacks", findings=found)
    fates = draw(st.lists(st.tuples(st.sampled_from(FATES), st.sampled_from(SECTIONS)), max_size=2))
    others = [Outcome(check=f"check:{k}", section=k, **fate) for fate, k in fates]
    return [first, *others] if draw(st.integers(0, 9)) else others


PEOPLE = ("Anna", "<b>|Ben`")
REASONS = ("sealed camera", "see #12, 5% | `x` & @team")
DAYS = st.integers(-2, 2).map(lambda days: TODAY + timedelta(days))
BASELINES = st.none() | st.fixed_dictionaries({}, optional={n: st.just(0.6) for n in NAMES})


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    asked = draw(outcomes())
    known = [r for o in asked for r in o.readings]
    own = sorted({r.name for r in known}) or list(NAMES)
    names = st.sampled_from((*own * 4, "attacks.worst@*", "*", "nothing.here"))
    gates = draw(st.lists(st.builds(gate, names, st.sampled_from(RULES)), max_size=4))
    people, reasons = st.sampled_from(PEOPLE), st.sampled_from(REASONS)
    accepted = draw(st.lists(st.builds(Acceptance, names, people, reasons, DAYS), max_size=3))
    judged = verdict(known, gates, asked, draw(BASELINES), accepted=accepted, day=TODAY)
    made: dict[str, Any] = plain({
        "schema_version": 1, "suite": "fuzz", "seed": 0,
        "subject": {"name": "net|`<b>`", "data": {"n": 10}, "threats": []}, "preflight": [],
        "outcomes": asked, "gates": list(judged.gates),
        "gates_from": draw(st.sampled_from(("default", "holdfast.toml"))),
        "verdict": {"word": judged.word, "code": judged.code, "says": judged.says},
        "actions": [], "not_tested": [], "methods": [], "command": "holdfast audit net",
    })  # fmt: skip
    return made


def expected(results: dict[str, Any]) -> tuple[int, Counter[str], int]:
    """The exit code that follows from gates and outcomes alone, the gates by verdict, crashes."""
    gates = Counter(str(g["verdict"]) for g in results["gates"])
    rows = results["outcomes"]
    stopped = any(o["skipped"].startswith(STOPPED) for o in rows)
    crashed = sum(bool(o["error"]) for o in rows)
    open_ = gates["undecided"] + gates["missing"]
    code = 130 if stopped else 1 if gates["fail"] else 3 if open_ or crashed else 0
    return code, gates, crashed


def junit_agrees(results: dict[str, Any], code: int, gates: Counter[str], crashed: int) -> None:
    text = render_junit(results)
    assert schema_rules.junit(text) == []
    (suite,) = ElementTree.fromstring(text)
    failures, errors = int(suite.get("failures", "-1")), int(suite.get("errors", "-1"))
    assert failures == gates["fail"]
    assert errors >= gates["undecided"] + gates["missing"] + crashed
    assert (failures + errors == 0) == (code == 0)
    borne = [s.text or "" for s in suite.findall("./testcase[@classname='holdfast.gate']/skipped")]
    assert sum("accepted by" in s and "until 2030-06" in s for s in borne) == gates["accepted"]


def sarif_agrees(results: dict[str, Any], code: int, gates: Counter[str]) -> None:
    text = render_sarif(results, lines={name: 3 for name in NAMES})
    assert schema_rules.sarif(text) == []
    (run,) = json.loads(text)["runs"]
    every = run["results"]
    errors = [r for r in every if r["level"] == "error"]
    assert len(errors) == gates["fail"] and all(r["ruleId"].startswith("gate/") for r in errors)
    own = [r for r in every if r["ruleId"].startswith("gate/")]
    borne = [r for r in own if r.get("suppressions")]
    assert len(borne) == gates["accepted"] and all(r["level"] == "note" for r in borne)
    levels = Counter(r["level"] for r in own)
    assert levels["warning"] == gates["undecided"] + gates["missing"]
    said = [r for r in every if r["ruleId"].startswith(("gate/", "verdict")) and r not in borne]
    assert (not said) == (code == 0)


def texts_agree(results: dict[str, Any], word: str, code: int, gates: Counter[str]) -> None:
    open_ = gates["undecided"] + gates["missing"]
    markdown = render_markdown(results)
    assert markdown.splitlines()[0] == f"### Holdfast: {word}"
    shown = Counter(
        re.findall(r"^\| \S+ (PASS|FAIL|UNDECIDED|MISSING|ACCEPTED) \|", markdown, re.M)
    )
    assert shown["FAIL"] == gates["fail"] and shown["PASS"] == gates["pass"]
    assert shown["UNDECIDED"] + shown["MISSING"] == open_
    assert shown["ACCEPTED"] == gates["accepted"]

    told = render_github(results).splitlines()
    assert all(re.match(r"::(error|warning|notice) title=[^,:]*(::)[^\r\n]+$", t) for t in told)
    kinds = Counter(t.split()[0] for t in told)
    assert kinds["::error"] == gates["fail"] and kinds["::notice"] == gates["accepted"]
    assert (kinds["::error"] + kinds["::warning"] == 0) == (code == 0)

    out = io.StringIO()
    show(results, seconds=1.0, report="r.html", stream=out)
    assert out.getvalue().splitlines()[1].startswith(f"  {word}   ")
    page = screen(results, {})
    assert page.word == word
    assert (page.state == "pass") == (code == 0) and (page.state == "fail") == (code == 1)


@bounded(
    max_examples=SETS, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(documents())
def every_form_says_the_same(results: dict[str, Any]) -> None:
    said = results["verdict"]
    word, code = said["word"], said["code"]
    must, gates, crashed = expected(results)
    assert code == must and word in WORDS[code]
    borne = [g for g in results["gates"] if g["accepted"]]
    assert len(borne) == gates["accepted"]
    assert all(date.fromisoformat(g["accepted"]["until"]) >= TODAY for g in borne)
    known = json.loads(render_json(results))["verdict"]
    assert (known["word"], known["code"]) == (word, code)
    junit_agrees(results, code, gates, crashed)
    sarif_agrees(results, code, gates)
    texts_agree(results, word, code, gates)
    SEEN.update({f"code {code}": 1, "sets": 1} | {k: 1 for k, v in gates.items() if v})


def test_every_form_of_a_fuzzed_audit_says_the_same() -> None:
    SEEN.clear()
    every_form_says_the_same()
    print(f"fuzzed result sets: {dict(sorted(SEEN.items()))}")
    assert SEEN["sets"] >= SETS
    met = ("code 0", "code 1", "code 3", "code 130", "pass", "fail", "undecided", "accepted")
    assert all(SEEN[k] > SETS // 60 for k in met), f"all ends are met: {SEEN}"
