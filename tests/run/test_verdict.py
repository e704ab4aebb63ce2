"""The verdict compares interval ends; word, sentence and code come from one function."""

import math
import random

import pytest

from holdfast.core.errors import ConfigError
from holdfast.core.records import Outcome, Reading
from holdfast.run.gates import Gate, gate, read_gates
from holdfast.run.verdict import CUT, STOPPED, decide, verdict
from holdfast.suites import default_gates


def reading(low, high, name="clean.accuracy", **more):
    return Reading(name=name, value=(low + high) / 2, low=low, high=high, n=100, **more)


@pytest.mark.parametrize(
    ("relation", "low", "high", "expected"),
    [
        (">=", 0.5, 0.6, "pass"), (">=", 0.49, 0.6, "undecided"), (">=", 0.4, 0.49, "fail"),
        (">=", 0.4, 0.5, "undecided"), (">", 0.5, 0.6, "undecided"), (">", 0.4, 0.5, "fail"),
        ("<=", 0.4, 0.5, "pass"), ("<=", 0.4, 0.51, "undecided"), ("<=", 0.51, 0.6, "fail"),
        ("<", 0.4, 0.5, "undecided"), ("<", 0.5, 0.6, "fail"), ("<", 0.3, 0.4, "pass"),
    ],
)  # fmt: skip
def test_the_ends_of_the_interval_decide(relation, low, high, expected):
    assert decide(relation, 0.5, reading(low, high)) == expected


def test_pass_and_fail_exclude_each_other_and_hold_for_every_point():
    rng = random.Random(0)
    for _ in range(2000):
        low, high = sorted((rng.random(), rng.random()))
        relation, limit = rng.choice([">=", "<=", ">", "<"]), rng.random()
        points = [low, high, *(rng.uniform(low, high) for _ in range(5))]
        kept = [eval(f"{p} {relation} {limit}") for p in points]
        got = decide(relation, limit, reading(low, high))
        assert got == ("pass" if all(kept) else "fail" if not any(kept) else "undecided")


def test_what_is_not_a_number_decides_nothing():
    assert decide(">=", 0.5, reading(math.nan, 1.0)) == "undecided"
    assert decide(">=", math.nan, reading(0.1, 0.2)) == "undecided"


def test_a_doubted_attack_may_fail_a_gate_but_not_pass_it():
    masked = {"bound": "upper", "flags": ("gradient masking",)}
    assert decide(">=", 0.5, reading(0.8, 0.9, **masked)) == "undecided"
    assert decide(">=", 0.5, reading(0.1, 0.2, **masked)) == "fail"
    assert decide(">=", 0.5, reading(0.8, 0.9, bound="upper")) == "pass"


def test_codes_and_words():
    good, bad, close = reading(0.9, 0.95), reading(0.1, 0.2), reading(0.4, 0.6)
    limit = (gate("clean.accuracy", ">= 0.5"),)
    fine = [Outcome(check="check:clean")]

    def got(readings, outcomes=fine, gates=limit):
        v = verdict(readings, gates, outcomes)
        return v.word, v.code

    assert got([good]) == ("READY", 0)
    assert got([bad]) == ("NOT READY", 1)
    assert got([close]) == ("UNDECIDED", 3)
    assert got([]) == ("INCOMPLETE", 3)
    assert got([good], [Outcome(check="check:x", error="boom")]) == ("INCOMPLETE", 3)
    assert got([good], [Outcome(check="check:x", skipped=CUT)]) == ("READY", 0)
    assert got([bad], [Outcome(check="check:x", skipped=STOPPED)]) == ("INCOMPLETE", 130)
    assert got([good], gates=()) == ("READY", 0)
    both = (*limit, gate("ood.auroc", "> 0.5"))
    assert got([bad], gates=both) == ("NOT READY", 1)


def test_a_star_means_every_threat_and_the_worst_of_equal_names_counts():
    two = [reading(0.1, 0.2, "attacks.worst@linf:8/255"), reading(0.8, 0.9, "attacks.worst@l2:0.5")]
    v = verdict(two, [gate("attacks.worst@*", ">= 0.5")], [])
    assert [g.verdict for g in v.gates] == ["fail", "pass"] and v.code == 1
    twice = [reading(0.8, 0.9), reading(0.1, 0.2)]
    assert verdict(twice, [gate("clean.accuracy", ">= 0.5")], []).code == 1


def test_relative_gates_need_a_baseline():
    rule = gate("clean.accuracy", ">= baseline - 0.01")
    assert rule == Gate("clean.accuracy", ">=", -0.01, True)
    assert verdict([reading(0.9, 0.92)], [rule], []).code == 3
    assert verdict([reading(0.9, 0.92)], [rule], [], {"clean.accuracy": 0.91}).code == 0
    assert verdict([reading(0.8, 0.82)], [rule], [], {"clean.accuracy": 0.91}).code == 1


@pytest.mark.parametrize(
    "text", ["0.5", ">= ", "=> 0.5", ">= half", ">= baseline * 2", 0.5, ">= nan"]
)
def test_a_rule_that_cannot_be_read_is_refused(text):
    with pytest.raises(ConfigError, match="clean"):
        gate("clean.accuracy", text)


def test_gates_come_from_either_file(tmp_path):
    assert len(default_gates()) == 6
    file = tmp_path / "holdfast.toml"
    file.write_text('[gate]\n"clean.accuracy" = ">= 90%"\n')
    assert read_gates(file) == (Gate("clean.accuracy", ">=", 0.9),)
    file.write_text('[tool.holdfast.gate]\n"a" = "< 1e-2"\n')
    assert read_gates(file) == (Gate("a", "<", 0.01),)
    file.write_text("[audit]\n")
    assert read_gates(file) is None
    file.write_text("[gate\n")
    with pytest.raises(ConfigError, match=r"holdfast\.toml"):
        read_gates(file)
