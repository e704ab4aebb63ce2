"""Forecasts: exact where the same was seen, in proportion elsewhere, and never in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.run.doubles import Says, subject

from holdfast.core.records import Outcome
from holdfast.run.pace import Pace
from holdfast.run.perform import Done
from holdfast.run.plan import plan
from holdfast.run.rates import EACH, FIXED, KEPT, NEAR, NEW, SAME, Guess, Rates
from holdfast.run.speed import Speed


def seconds(rates, name, nominal, about=""):
    return rates.guess(name, nominal, about).seconds


def test_without_an_observation_it_is_the_time_of_the_passes():
    assert Rates().guess("check:a", 3.0) == Guess(3.0, NEW)


def test_what_was_seen_is_foretold_and_scales_with_the_passes():
    rates = Rates()
    rates.learn("check:a", 2.0, 6.0)
    assert seconds(rates, "check:a", 2.0) == pytest.approx(6.0)
    assert seconds(rates, "check:a", 4.0) == pytest.approx(6.05 * 4.05 / 2.05 - FIXED)
    assert seconds(rates, "check:b", 2.0) == 2.0
    rates.learn("check:a", 200.0, 100.0)  # far off: the nearest one counts
    assert seconds(rates, "check:a", 2.0) == pytest.approx(6.0)
    assert seconds(rates, "check:a", 200.0) == pytest.approx(100.0)


def test_the_last_observations_are_kept_on_disk(tmp_path):
    file = tmp_path / "deep" / "rates.json"
    rates = Rates(file)
    for took in range(1, EACH + 4):
        rates.learn("check:a", 1.0, float(took))
    rates.save()
    again = Rates(file)
    assert seconds(again, "check:a", 1.0) == seconds(rates, "check:a", 1.0)
    assert again.most("check:a", 0.0) == EACH + 3 and again.most("check:b", 7.0) == 7.0
    assert len(again._seen["check:a"]) == EACH
    for number in range(2 * KEPT):
        again.learn("check:a", 1.0, 1.0, f"question {number}")
    assert len(again._seen["check:a"]) == KEPT


def test_the_same_question_takes_what_it_took_whatever_was_expected():
    rates = Rates()
    rates.learn("check:a", 1.0, 8.0, "slow model")
    rates.learn("check:a", 1.1, 0.5, "fast model")
    assert rates.guess("check:a", 0.01, "slow model") == pytest.approx(Guess(8.0, SAME))
    assert rates.guess("check:a", 1.1, "fast model") == pytest.approx(Guess(0.5, SAME))
    assert rates.guess("check:a", 1.0, "another model").doubt == NEAR
    assert 0.5 < seconds(rates, "check:a", 1.0, "another model") < 8.0
    rates.learn("check:a", 1.0, 1.0, "slow model")  # the last time counts twice
    assert seconds(rates, "check:a", 1.0, "slow model") == pytest.approx(2.0)


def test_seconds_in_which_a_check_waited_are_not_its_own():
    rates = Rates(busy=lambda: 3.0)
    rates.learn("check:a", 1.0, 9.0, "question", 2.0)
    assert seconds(rates, "check:a", 1.0, "question") == pytest.approx(2.0)


@pytest.mark.parametrize("text", [
    "", "[]", "{", '{"a": 3}', '{"a": [[1]]}', '{"a": [["x", 1]]}', '{"a": null}',
    '{"a": [[1, 2, "b", "c"]]}',
])  # fmt: skip
def test_a_damaged_file_is_as_good_as_none(tmp_path, text):
    file = tmp_path / "rates.json"
    file.write_text(text)
    assert seconds(Rates(file), "a", 1.0) == 1.0


def test_what_is_no_number_of_seconds_is_not_learned(tmp_path):
    rates = Rates(tmp_path)  # a folder: it can be neither read nor written
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        rates.learn("a", 1.0, wrong)
        rates.learn("a", wrong, 1.0)
    rates.save()
    assert seconds(rates, "a", 1.0) == 1.0


def test_a_run_that_is_slower_than_foretold_corrects_what_is_left():
    first, second = plan((Says(name="a", dear=10.0), Says(name="b", dear=20.0)), subject())
    pace = Pace(speed=Speed(1.0))
    before = pace.one(second)
    outcome = Outcome(check=first.name, seconds=3 * pace.one(first))
    pace.learn(Done(first, replace(outcome, error="it crashed")))
    assert pace.one(second) == before
    pace.learn(Done(first, outcome))
    # What was learned of the check, and of the run as a whole, both make it dearer.
    assert 3 * before < pace.one(second) < 12 * before
    assert pace.all([first, second]) == pytest.approx(pace.one(first) + pace.one(second))
    pace.workers = 2
    assert pace.all([first, second]) == pytest.approx(pace.one(second))
    assert pace.all([]) == 0.0
    pace.workers = 0  # a cluster that has not said how many there are
    assert pace.all([first, second]) == pytest.approx(pace.one(first) + pace.one(second))


def test_what_is_left_is_not_reckoned_anew_for_each_of_thousands_of_cells(monkeypatch):
    now, asked = [100.0], []

    def all_of(pace, cells):
        asked.append(len(cells))
        now[0] += 0.5  # what the forecast itself takes
        return 60.0

    monkeypatch.setattr("holdfast.run.pace.time.monotonic", lambda: now[0])
    monkeypatch.setattr(Pace, "all", all_of)
    pace = Pace()
    assert pace.left([1, 2, 3]) == 60.0
    now[0] += 4.0
    assert pace.left([1, 2]) == 60.0 - 4.5 and asked == [3], "time that has passed is taken off"
    now[0] += 6.0
    assert pace.left([1]) == 60.0 and asked == [3, 1], "believed for ten seconds, twenty times 0.5"
