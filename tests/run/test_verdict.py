"""The verdict compares interval ends; word, sentence and code come from one function."""

import math
import random

import pytest

from holdfast.core.errors import ConfigError
from holdfast.core.records import Outcome, Reading
from holdfast.run.gates import Gate, gate, read_gates
from holdfast.run.verdict import CUT, LACKS, STOPPED, decide, verdict
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


def _applied(outcomes, gates=None, readings=()):
    fine = [reading(0.95, 0.99), reading(0.8, 0.9, "attacks.worst@linf:0.1", bound="upper")]
    return verdict([*fine, *readings], gates or default_gates(), outcomes)


def _skipped(section, why):
    return Outcome(check=f"check:{section}", section=section, skipped=why)


CANNOT = [
    _skipped("corruptions", "blur changes images"),
    _skipped("certificates", "no layers can be read"),
    _skipped("calibration", "there are no probabilities"),
    _skipped("ood", "foreign inputs are made for tensors only"),
]


def test_default_gates_of_checks_that_cannot_apply_fall_away_and_say_so():
    v = _applied(CANNOT)
    assert (v.word, v.code) == ("READY", 0)
    assert v.says.startswith("All 2 gates pass. Not applicable: ")
    beside = [g for g in v.gates if g.verdict == "not applicable"]
    assert [g.name for g in beside] == [
        "certificates.proved@*", "corruptions.mean", "calibration.ece", "ood.auroc",
    ]  # fmt: skip
    assert beside[1].says == "blur changes images"


def test_a_gate_that_the_user_set_and_nobody_measured_gives_incomplete():
    own = tuple(gate(g.name, f"{g.relation} {g.limit}") for g in default_gates())
    assert not any(g.default for g in own)
    v = _applied(CANNOT, own)
    assert (v.word, v.code) == ("INCOMPLETE", 3)
    assert [g.verdict for g in v.gates].count("missing") == 4


@pytest.mark.parametrize("why", [STOPPED, CUT, f"{LACKS}a second set of rows"])
def test_what_could_have_been_measured_is_missing_even_by_default(why):
    v = _applied([*CANNOT[:3], _skipped("ood", why)])
    assert v.word == "INCOMPLETE" and v.code == (130 if why == STOPPED else 3)
    assert next(g for g in v.gates if g.name == "ood.auroc").verdict == "missing"


def test_a_check_that_crashed_is_missing_even_by_default():
    v = _applied([*CANNOT[:3], Outcome(check="check:ood", section="ood", error="boom")])
    assert (v.word, v.code) == ("INCOMPLETE", 3)


def test_nothing_is_ready_without_a_clean_and_a_worst_case_number():
    both = [_skipped("attacks", "no gradients, no scores"), _skipped("clean", "no labels")]
    v = verdict([], default_gates(), [*CANNOT, *both])
    assert (v.word, v.code) == ("INCOMPLETE", 3)
    assert [g.name for g in v.gates if g.verdict == "missing"] == [
        "clean.accuracy", "attacks.worst@*",
    ]  # fmt: skip


def test_there_is_one_card_for_each_default_gate_where_there_is_one_threat():
    names = (
        "clean.accuracy", "attacks.worst@linf:8/255", "certificates.proved@linf:8/255",
        "certificates.proved_within@linf:2/255", "corruptions.mean", "calibration.ece",
        "ood.auroc", "envelope.attacked@linf:8/255",
    )  # fmt: skip
    v = verdict([reading(0.9, 0.95, name) for name in names], default_gates(), [])
    assert len(v.gates) == len(default_gates()) == 6
