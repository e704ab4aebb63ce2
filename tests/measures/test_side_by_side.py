"""Ranks against SciPy, and costly methods that a cheap one reaches."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import rankdata

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.measures.outputs.side_by_side import side_by_side

CLEAN = torch.tensor([0.90, 0.95, 0.95, 0.80])
ERROR = torch.tensor([0.30, 0.20, 0.25, 0.21])
TAGS = ("cheap", "cheap", "costly", "costly")


def test_ranks_are_those_of_scipy_and_lower_turns_round():
    found = side_by_side({"clean": CLEAN, "error": ERROR}, TAGS, lower=("error",))
    assert found.ranks[0].tolist() == rankdata(-CLEAN.numpy()).tolist()
    assert found.ranks[1].tolist() == rankdata(ERROR.numpy()).tolist()
    assert found.mean.tolist() == [3.5, 1.25, 2.25, 3.0]
    assert found.best_at_all.tolist() == [False, True, False, False]
    by_tag = {r.name: r.value for r in found.readings()}
    assert by_tag == {"ranks.cheap": pytest.approx(2.375), "ranks.costly": pytest.approx(2.625)}
    assert found.rows()[1] == {"model": 1, "tag": "cheap", "mean": 1.25, "clean": 1.5, "error": 1}


def test_what_does_not_beat_the_best_cheap_one_is_behind():
    table = {"clean": CLEAN, "robust": torch.tensor([0.1, 0.2, 0.2, 0.6])}
    found = side_by_side(table, TAGS)
    assert found.behind("cheap").tolist() == [False, False, True, False]
    assert found.behind("cheap", margin=0.5).tolist() == [False, False, True, True]
    with pytest.raises(ConfigError):
        found.behind("free")


def test_what_does_not_fit():
    with pytest.raises(ShapeError):
        side_by_side({})
    with pytest.raises(ShapeError):
        side_by_side({"a": CLEAN}, TAGS[:2])
    with pytest.raises(ShapeError):
        side_by_side({"a": CLEAN, "b": CLEAN[:3]})
    with pytest.raises(ConfigError):
        side_by_side({"a": CLEAN}, lower=("b",))
