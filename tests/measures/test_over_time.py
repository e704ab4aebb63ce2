"""Versions compared against a table made by hand and against scipy."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.measures.outputs.over_time import mcnemar, over_time, slot_prompts

Y = torch.tensor([0, 1, 1, 0])


def _four():
    old = {"clean": torch.tensor([0, 1, 1, 1]), "Q'": torch.tensor([0, 1, 0, 0])}
    new = {"clean": torch.tensor([0, 1, 1, 0]), "Q'": torch.tensor([1, -1, 1, 1])}
    return {"old": old, "new": new}


def test_a_table_of_four_items():
    seen = over_time(_four(), Y)
    assert seen.accuracy("old") == 0.75 and seen.accuracy("new") == 1.0
    assert seen.drop("old", "Q'") == 0 and seen.drop("new", "Q'") == 0.75
    assert seen.success("old", "Q'") == pytest.approx(1 / 3) and seen.success("new", "Q'") == 0.75
    assert all(seen.drop(v, "clean") == 0 for v in ("old", "new"))
    assert seen.change("old", "new", "Q'").value == -0.5
    flagged = [r for r in seen.readings() if r.name == "over_time.new.Q'"]
    assert flagged[0].flags == ("1 answers could not be read",)


def test_the_paired_test_is_the_binomial_one():
    g = torch.Generator().manual_seed(0)
    for n in (1, 7, 40):
        a, b = torch.rand(2, n, generator=g) < torch.tensor([[0.8], [0.5]])
        apart = int((a ^ b).sum())
        want = binomtest(int((b & ~a).sum()), apart).pvalue if apart else 1.0
        assert mcnemar(a, b) == pytest.approx(want)


def test_identical_versions_do_not_differ():
    seen = over_time({"a": _four()["old"], "b": _four()["old"]}, Y)
    assert all(seen.change("a", "b", c).value == 0 for c in ("clean", "Q'"))
    assert seen.silent("a", "b") == ()


def test_ground_lost_in_silence_is_named():
    y = torch.zeros(40, dtype=torch.int64)
    worse = y.clone()
    worse[:12] = 1
    seen = over_time({"a": {"clean": y, "Q'": y}, "b": {"clean": y, "Q'": worse}}, y)
    assert seen.silent("a", "b") == ("Q'",) and seen.silent("b", "a") == ()


def test_synergy_is_what_both_cost_beyond_the_worse():
    y = torch.zeros(10, dtype=torch.int64)

    def wrong(count):
        return (torch.arange(10) < count).long()

    answers = {"clean": y, "D'": wrong(2), "Q'": wrong(3), "D'Q'": wrong(7)}
    assert over_time({"v": answers}, y).synergy("v", "D'Q'", "D'", "Q'") == pytest.approx(0.4)


def test_unequal_questions_are_refused():
    four = _four()
    with pytest.raises(ConfigError, match="versions differ"):
        over_time({"old": four["old"], "new": {"clean": Y}}, Y)
    with pytest.raises(ConfigError, match="no combination"):
        over_time(four, Y, clean="plain")
    with pytest.raises(ShapeError, match="one answer per item"):
        over_time(four, Y[:3])


def test_slots_are_combined_in_all_ways():
    clean = {"D": ["sort:", "sort:"], "S": ["1 good", "1 good"], "Q": ["fine", "bad"]}
    changed = {"Q": ["f1ne", "bda"], "D": ["srot:", "srot:"]}
    two = slot_prompts(clean, changed, between=" ")
    assert list(two) == ["clean", "D", "Q", "D+Q"]
    assert two["clean"] == ["sort: 1 good fine", "sort: 1 good bad"]
    assert two["D+Q"] == ["srot: 1 good f1ne", "srot: 1 good bda"]
    three = slot_prompts(clean, {**changed, "S": ["1 god", "1 god"]})
    assert len(three) == 8 and len({tuple(p) for p in three.values()}) == 8
    answers = {"v": {c: torch.zeros(2).long() for c in three}}
    assert over_time(answers, torch.tensor([0, 1])).accuracy("v", "D+S+Q") == 0.5
    for bad in ({"Q": ["one"]}, {"R": ["a", "b"]}):
        with pytest.raises(ShapeError):
            slot_prompts(clean, bad)
