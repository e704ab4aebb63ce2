"""The drift check: silent where nothing moved, and right about what did."""

import math

import pytest
import torch
from tests.checks.subjects import batches, findings, reading
from torch import nn

from holdfast.checks.drift import Drift
from holdfast.core.errors import Unsupported
from holdfast.core.records import Severity, Subject


def rows(seed, count=200, move=0.0):
    x = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[:, 3] += move
    return batches(x, torch.zeros(count).long())


def asked(new, model=None, **settings):
    about = Subject(model=model or nn.Identity(), batches=new, trusted=rows(1))
    return findings(Drift(**settings), about)


def test_nothing_moved():
    (found,) = asked(rows(2))
    assert found.severity is Severity.GOOD and not found.advice
    assert reading([found], "drift.inputs.p").value > 0.05
    for figure in found.figures:
        assert len(figure.rows) == 5 and not any(r["moved"] for r in figure.rows)
        assert all(r["value"] <= r["limit"] for r in figure.rows)
        assert "None of 5" in figure.says and "5 tests" in figure.x


def test_the_feature_that_moved_is_named():
    (found,) = asked(rows(2, move=1.0))
    assert found.severity is Severity.WARNING
    answers, inputs = found.figures
    assert answers.rows[0]["label"].startswith("class")
    assert inputs.rows[0]["feature"] == 3 and inputs.rows[0]["label"] == "feature 3"
    distances = [r["value"] for r in inputs.rows]
    assert distances == sorted(distances, reverse=True)
    assert [r["moved"] for r in inputs.rows] == [r["value"] >= r["limit"] for r in inputs.rows]
    assert inputs.rows[0]["limit"] == pytest.approx((-math.log(0.005) / 200) ** 0.5, abs=1e-6)
    assert "1 of 5 inputs moved" in inputs.says
    assert reading([found], "drift.inputs.moved").value == pytest.approx(0.2)


def test_pixels_and_columns_have_names():
    x = torch.rand(40, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model, y = nn.Flatten(), torch.zeros(40).long()
    about = Subject(model=model, batches=batches(x, y), trusted=batches(x, y))
    (found,) = findings(Drift(), about)
    named = {r["feature"]: r["label"] for r in found.figures[1].rows}
    assert named[4] == "row 1, column 1" and len(named) == 6
    units = [{"column": c} for c in "abcde"]
    about = Subject(model=nn.Identity(), batches=rows(2), trusted=rows(1), about={"units": units})
    (found,) = findings(Drift(), about)
    assert {r["feature"]: r["label"] for r in found.figures[1].rows}[3] == "d"


def test_many_features_are_left_out_and_broken_answers_too():
    (found,) = asked(rows(2), features=4)
    assert [r.name for r in found.readings] == ["drift.answers.p", "drift.answers.moved"]
    half = rows(2)
    half.x[::2] = torch.nan
    (found,) = asked(half, features=4)
    assert reading([found], "drift.answers.p").n == 300
    with pytest.raises(Unsupported):
        asked(rows(2), model=lambda x: x * torch.nan)
