"""The drift check: silent where nothing moved, and right about what did."""

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
    assert found.severity is Severity.GOOD and not found.figures and not found.advice
    assert reading([found], "drift.inputs.p").value > 0.05


def test_the_feature_that_moved_is_named():
    (found,) = asked(rows(2, move=1.0))
    assert found.severity is Severity.WARNING
    assert found.figures[0].rows[0]["feature"] == 3
    assert reading([found], "drift.inputs.moved").value == pytest.approx(0.2)


def test_many_features_are_left_out_and_broken_answers_too():
    (found,) = asked(rows(2), features=4)
    assert [r.name for r in found.readings] == ["drift.answers.p", "drift.answers.moved"]
    half = rows(2)
    half.x[::2] = torch.nan
    (found,) = asked(half, features=4)
    assert reading([found], "drift.answers.p").n == 300
    with pytest.raises(Unsupported):
        asked(rows(2), model=lambda x: x * torch.nan)
