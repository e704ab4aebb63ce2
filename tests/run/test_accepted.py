"""Accepted risks: they cover what is known and open, until their day, and nothing else."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from holdfast.core.errors import ConfigError
from holdfast.core.records import Outcome, Reading
from holdfast.run.accepted import Acceptance, accepted_of
from holdfast.run.gates import gate
from holdfast.run.places import places
from holdfast.run.verdict import verdict
from holdfast.run.writing import plain

DAY = date(2030, 6, 15)
FINE = (Outcome(check="check:clean", section="clean"),)
ROW = {"gate": "clean.accuracy", "name": "Anna", "reason": "sealed camera", "until": DAY}


def reading(low: float, high: float, name: str = "clean.accuracy") -> Reading:
    return Reading(name=name, value=(low + high) / 2, low=low, high=high, n=100)


def judged(readings, *accepted: Acceptance, day: date | None = DAY, outcomes=FINE):
    gates = (gate("clean.accuracy", ">= 0.5"),)
    return verdict(readings, gates, outcomes, accepted=accepted, day=day)


def until(day: date, who: str = "Anna", name: str = "clean.accuracy") -> Acceptance:
    return Acceptance(name, who, "sealed camera", day)


BAD, CLOSE, GOOD = reading(0.1, 0.2), reading(0.4, 0.6), reading(0.8, 0.9)


@pytest.mark.parametrize("open_", [BAD, CLOSE])
def test_an_accepted_gate_no_longer_decides_until_its_last_day_is_over(open_):
    found = judged([open_], until(DAY))
    (line,) = found.gates
    assert (found.word, found.code, line.verdict) == ("READY", 0, "accepted")
    assert line.says == "accepted by Anna until 2030-06-15: sealed camera"
    assert "Accepted for now: clean.accuracy." in found.says and "0 of 1 gate pass" in found.says
    late = judged([open_], until(DAY), day=date(2030, 6, 16))
    without = judged([open_])
    assert (late.word, late.code) == (without.word, without.code) and late.code != 0
    assert "the acceptance by Anna ended on 2030-06-15" in late.gates[0].says
    assert late.gates[0].accepted is None


def test_what_fails_again_says_so_and_what_is_open_again_too():
    late = date(2030, 7, 1)
    assert judged([BAD], until(DAY), day=late).gates[0].says.startswith("fails again, ")
    assert judged([CLOSE], until(DAY), day=late).gates[0].says.startswith("open again, ")


def test_a_gate_that_passes_needs_nobody():
    (line,) = judged([GOOD], until(DAY)).gates
    assert line.verdict == "pass" and line.accepted is None and line.says == ""


def test_what_was_not_measured_cannot_be_accepted():
    found = judged([], until(DAY))
    assert found.gates[0].verdict == "missing" and found.code == 3
    broken = (Outcome(check="check:ood", section="ood", error="boom"),)
    assert judged([BAD], until(DAY), outcomes=broken).code == 3


def test_other_gates_still_fail():
    gates = (gate("clean.accuracy", ">= 0.5"), gate("ood.auroc", ">= 0.5"))
    both = [BAD, reading(0.1, 0.2, "ood.auroc")]
    found = verdict(both, gates, FINE, accepted=(until(DAY),), day=DAY)
    assert found.code == 1 and "1 of 2 gates fails: ood.auroc." in found.says
    assert "Accepted for now: clean.accuracy." in found.says


def test_the_longest_acceptance_counts_and_patterns_work():
    early, late = until(date(2030, 1, 1), "Ben"), until(date(2031, 1, 1), "Cleo", "clean.*")
    (line,) = judged([BAD], early, late, early).gates
    assert line.accepted == late
    assert judged([BAD], until(DAY, name="attacks.*")).code == 1


def test_without_a_day_nothing_is_accepted():
    assert judged([BAD], until(DAY), day=None).code == 1


def test_the_day_itself_leaves_no_trace_in_the_verdict():
    """Two audits on different days give the same bytes while every acceptance holds."""
    first = judged([BAD], until(DAY), day=date(2030, 1, 1))
    second = judged([BAD], until(DAY), day=DAY)
    assert plain(first) == plain(second)
    assert plain(first)["gates"][0]["accepted"]["until"] == "2030-06-15"


@pytest.mark.parametrize("value", [DAY, "2030-06-15", datetime(2030, 6, 15, 12)])
def test_a_day_may_be_written_in_three_ways(value):
    assert accepted_of([ROW | {"until": value}]) == (until(DAY),)


def test_no_table_means_no_acceptance():
    assert accepted_of(None) == () and accepted_of([]) == ()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("clean", "no list"),
        ([1], "gate, name, reason, until"),
        ([{k: v for k, v in ROW.items() if k != "reason"}], "reason"),
        ([ROW | {"who": "Ben"}], "who"),
        ([ROW | {"reason": " "}], "reason is ' '"),
        ([ROW | {"name": 3}], "name is 3"),
        ([ROW, ROW | {"until": "soon"}], "accepted risk 2: until is 'soon'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(rows, words):
    with pytest.raises(ConfigError, match="E0176") as caught:
        accepted_of(rows)
    assert words in str(caught.value) and "[[accepted]]" in caught.value.fix


def test_gates_are_found_at_their_lines(tmp_path):
    own = tmp_path / "holdfast.toml"
    own.write_text(
        "# ours\n[audit]\n\"clean.accuracy\" = 'not a gate'\n\n[gate] # limits\n"
        '"clean.accuracy" = ">= 0.9" # easy\n"attacks.worst@linf:8/255" = ">= 0.4"\n\n'
        '[[accepted]]\ngate = "ood.auroc"\n'
    )
    assert places(own) == {"clean.accuracy": 6, "attacks.worst@linf:8/255": 7}
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "x"\n[tool.holdfast.gate]\n"ood.auroc" = ">= 0.8"\n')
    assert places(project) == {"ood.auroc": 4}
    (tmp_path / "line.toml").write_text('gate = {"a" = ">= 1", "b" = ">= 2"}\n')
    assert places(tmp_path / "line.toml") == {"a": 1, "b": 1}
    (tmp_path / "broken.toml").write_text('[gate\n[gate]\n"a" = ">= 1"\nb = [\n')
    assert places(tmp_path / "broken.toml") == {"a": 3}
    assert places(tmp_path / "absent.toml") == {}
