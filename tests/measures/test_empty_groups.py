"""Groups, slices and attributes without a row: left out, or refused with a sentence."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from holdfast.checks.gym.bench import TestBench
from holdfast.checks.gym.lines import lines
from holdfast.checks.gym.slice import Slice
from holdfast.checks.slices import Slices
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.records import Subject
from holdfast.measures.outputs.fairness import rate_gaps
from holdfast.measures.outputs.groups import group_accuracy

G = torch.Generator().manual_seed(0)
Z = torch.randn(60, 3, generator=G)
Y = torch.randint(3, (60,), generator=G)
HALVES = torch.arange(60) // 30


def test_an_empty_column_of_a_mask_says_nothing() -> None:
    mask = torch.zeros(60, 4, dtype=torch.bool)
    mask[:, [0, 3]] = torch.nn.functional.one_hot(HALVES).bool()
    found, plain = group_accuracy(Z, Y, groups=mask), group_accuracy(Z, Y, groups=HALVES)
    assert found.count.tolist() == [30, 0, 0, 30]
    assert found.accuracy[[1, 2]].isnan().all()
    for ours, wanted in zip(found.readings(), plain.readings(), strict=True):
        assert (ours.value, ours.n) == (wanted.value, wanted.n)
        assert math.isfinite(ours.low) and ours.low <= ours.value <= ours.high
    assert [row["label"] for row in found.rows()] == ["group 3", "group 0"]


def test_the_weight_of_an_empty_group_falls_to_the_others() -> None:
    groups = torch.where(HALVES == 1, 2, 0)  # 1 is empty
    weights = torch.tensor([0.2, 0.5, 0.3])
    found = group_accuracy(Z, Y, groups=groups, weights=weights)
    first, last = found.accuracy[[0, 2]].tolist()
    assert found.adjusted == pytest.approx((0.2 * first + 0.3 * last) / 0.5)


def test_no_group_at_all_is_refused() -> None:
    with pytest.raises(ShapeError, match="labelled row of a group"):
        group_accuracy(Z, Y, groups=torch.zeros(60, 3, dtype=torch.bool))
    with pytest.raises(ShapeError, match="needs one labelled row"):
        group_accuracy(Z[:0], Y[:0], groups=HALVES[:0])
    with pytest.raises(ShapeError, match="needs one row"):
        rate_gaps(Y[:0], Y[:0], Y[:0])


def test_attributes_that_are_never_taken_change_no_gap() -> None:
    answers = Z.argmax(1)
    assert rate_gaps(answers, Y, HALVES) == rate_gaps(answers, Y, 7 * HALVES)
    only = torch.where(Y == 0, 0, HALVES)  # class 0 has rows of one attribute alone
    parity, odds = rate_gaps(answers, Y, only)
    assert 0 <= parity <= 1 and 0 <= odds <= 1


def test_an_empty_slice_is_never_called_worse() -> None:
    model = nn.Linear(4, 3)
    data = Batches(x=torch.rand(60, 4, generator=G), y=Y)
    none = torch.zeros(60, dtype=torch.bool)
    everything = Slice.where("all", data, ~none)
    half = Slice.where("half", data, HALVES == 0)
    made = [Slice.where("none", data, none), half & ~half, everything]
    for line in lines(model, data, made)[1]:
        assert not line.worse and 0 < line.p <= 1
    reading = lines(model, data, made[:1])[1][0].reading(0.05, 0)
    assert (reading.n, reading.low, reading.high) == (0, 0.0, 1.0) and math.isnan(reading.value)


def test_classes_and_groups_without_rows_are_no_slices() -> None:
    data = Batches(
        x=torch.rand(60, 4, generator=G), y=Y % 2, group=2 * HALVES, classes=("a", "b", "empty")
    )
    (found,) = Slices()(Subject(model=nn.Linear(4, 3), batches=data))
    labels = {str(row["label"]) for row in found.figures[0].rows}
    assert labels == {"class a", "class b", "group 0", "group 2"}


def test_weight_that_lies_on_empty_groups_alone_is_refused() -> None:
    groups = torch.where(HALVES == 1, 2, 0)
    with pytest.raises(ConfigError, match="empty groups"):
        group_accuracy(Z, Y, groups=groups, weights=torch.tensor([0.0, 1.0, 0.0]))


def test_a_mask_without_columns_is_refused() -> None:
    with pytest.raises(ShapeError, match="labelled row of a group"):
        group_accuracy(Z, Y, groups=torch.zeros(60, 0, dtype=torch.bool))


def test_rows_without_a_label_are_no_wrong_answers_of_a_slice() -> None:
    y = torch.where(torch.arange(60) < 30, Y, -100)
    all_right = nn.Linear(3, 3)
    with torch.no_grad():
        all_right.weight.copy_(torch.eye(3)), all_right.bias.zero_()
    x = torch.nn.functional.one_hot(Y, 3).float()
    rows = Batches(x=x, y=y, group=HALVES)
    (finding,) = Slices()(Subject(model=all_right, batches=rows))
    assert {row["value"] for row in finding.figures[0].rows} == {1.0}
    assert finding.readings[0].n <= 30
    labels = {str(row["label"]) for row in finding.figures[0].rows}
    assert "group 0" in labels and "group 1" not in labels
    for few in (rows.take(slice(30, 60)), rows.take(slice(0, 0))):
        with pytest.raises(Unsupported, match="no row is labelled"):
            list(Slices()(Subject(model=all_right, batches=few)))


def test_an_evaluation_set_without_rows_is_named_and_left_out() -> None:
    rows = Batches(x=Z, y=Y)
    bench = TestBench(sets={"none": rows.take(slice(0, 0)), "some": rows}, scores=(), shifts=())
    made, refused = bench.slices(Subject(model=nn.Linear(3, 3), batches=rows), rows)
    assert [one.name for one in made] == ["some"] and refused == {"none": "none has no rows"}
