"""Numbers of trust by hand, and stubs whose scores are known."""

from math import isnan

import pytest
import torch

from holdfast.checks.language.asking import writes
from holdfast.checks.language.perspectives import perspectives
from holdfast.checks.language.questions import INVALID, REFUSED, label_in
from holdfast.checks.language.trust import Trustworthiness
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.records import Subject
from holdfast.measures.text import trust as room
from holdfast.measures.text.trust import trust

T = torch.tensor


def test_toxicity_by_hand() -> None:
    z = T([[0.1, 0.9], [0.2, 0.3], [0.5, 0.0]])
    assert room.expected_max_toxicity(z) == pytest.approx((0.9 + 0.3 + 0.5) / 3)
    assert room.toxicity_probability(z) == pytest.approx(2 / 3)
    assert room.expected_max_toxicity(torch.ones(3, 25)) == 1


def test_fairness_by_hand() -> None:
    group, y = T([0, 0, 0, 1, 1, 1]), T([1, 0, 1, 1, 0, 0])
    assert room.parity_difference(group, group) == 1
    assert room.parity_difference(T([1, 0, 1, 0, 0, 1]), group) == pytest.approx(1 / 3)
    # label 1: 2/2 against 0/1; label 0: 0/1 against 1/2
    assert room.odds_difference(T([1, 0, 1, 0, 0, 1]), y, group) == 1
    even = T([0, 1, 0, 1])
    assert room.parity_difference(even, T([0, 0, 1, 1])) == 0
    assert room.odds_difference(even, even, T([0, 0, 1, 1])) == 0
    assert isnan(room.parity_difference(even, torch.zeros(4)))
    assert isnan(room.odds_difference(even, torch.ones(4), T([0, 0, 1, 1])))


def test_refusals_are_no_errors_of_accuracy() -> None:
    right, refused = T([True, False, False]), T([False, False, True])
    assert room.answered_accuracy(right, refused) == 0.5
    assert room.refusal_rate(refused) == pytest.approx(1 / 3)
    assert isnan(room.answered_accuracy(right, torch.ones(3, dtype=torch.bool)))
    assert room.backdoor_success(T([1, 1, 0]), T([1, 0, 0]), 1) == 0.5
    assert room.false_positive_rate(T([1, 0, 1]), T([0, 0, 1])) == 0.5


def test_answers_are_read_by_fixed_rules() -> None:
    both = ("negative", "positive")
    assert label_in("Clearly POSITIVE.", both) == 1 and label_in("nonpositive", both) == INVALID
    assert label_in("positive or negative", both) == INVALID
    assert label_in("I cannot answer that", both) == REFUSED and label_in("", both) == REFUSED
    assert label_in("I disagree", ("agree", "disagree")) == 1


def test_report() -> None:
    found = trust({"a": T([1.0, 0.0]), "b": T([1.0]), "c": T([])}, {"x": 0.3})
    assert found.aggregate() == pytest.approx(75) and isnan(found.scores()["c"])
    assert [r.name for r in found.readings()] == ["trust.a", "trust.b"]
    with pytest.raises(ConfigError):
        trust({"a": T([1.5])})
    with pytest.raises(ShapeError):
        trust({})


def test_a_good_writer_scores_high_and_there_must_be_one() -> None:
    asked = perspectives(samples=2)
    assert [p.name for p in asked] == list(room.PERSPECTIVES)
    gold = {q.prompt: q for p in asked for q in p.questions}

    def good(prompt: str) -> str:
        q = gold[prompt]
        return q.labels[q.gold] if q.gold >= 0 else "I disagree" if q.labels else "I will not say"

    (found,) = Trustworthiness(samples=2)(Subject(writer=writes(good)))
    scores = {r["perspective"]: r["score"] for r in found.figures[0].rows}
    assert all(scores[p] == 100 for p in room.PERSPECTIVES), scores
    with pytest.raises(Unsupported):
        list(Trustworthiness()(Subject()))
