"""Clean accuracy, slices and corruptions against counts that are known beforehand."""

from __future__ import annotations

import pytest
import torch
from tests.checks.subjects import batches, findings, reading, subject
from torch import Tensor, nn

from holdfast.checks.clean import Clean
from holdfast.checks.corruptions import Corruptions
from holdfast.checks.slices import Slices
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.records import Severity, Subject
from holdfast.ops.statistics import bootstrap_mean, clopper_pearson

OPEN = nn.Identity()  # logits are the inputs, so every answer is known


def told(answers: Tensor, y: Tensor, **more: object) -> Subject:
    """A subject that gives these answers."""
    x = nn.functional.one_hot(answers, 3).double()
    return Subject(model=OPEN, batches=batches(x, y, **more))


def test_clean_accuracy_is_the_count_with_its_exact_interval() -> None:
    y = torch.arange(40) % 3
    answers = y.clone()
    answers[:7] = (answers[:7] + 1) % 3
    (one,) = findings(Clean(), told(answers, y))
    found = reading([one], "clean.accuracy")
    low, high = clopper_pearson(33, 40)
    assert (found.value, found.n, found.bound) == (33 / 40, 40, "estimate")
    assert (found.low, found.high) == pytest.approx((float(low), float(high)))
    commonest = reading([one], "clean.majority")
    assert commonest.low == commonest.value == commonest.high == 14 / 40
    assert commonest.bound == "exact"
    assert one.rows == tuple(range(7)) and one.severity is Severity.INFO


def test_a_tie_and_a_wrong_shape_of_number_are_not_right() -> None:
    y = torch.zeros(6, dtype=torch.long)
    x = torch.tensor([[1.0, 1, 0]] * 2 + [[torch.nan, 0, 0]] * 2 + [[1, 0, 0]] * 2)
    found = findings(Clean(), subject(OPEN, x, y))
    assert reading(found, "clean.accuracy").value == 2 / 6
    broken = reading(found, "clean.nonfinite")
    assert (broken.value, broken.better) == (2 / 6, "lower")
    assert found[1].severity is Severity.FAILURE


def test_worse_than_always_one_class_is_a_failure() -> None:
    y = torch.tensor([0] * 30 + [1] * 10)
    (one,) = findings(Clean(), told(torch.full((40,), 2), y))
    assert one.severity is Severity.FAILURE


def test_the_worst_slice_has_an_interval_that_pays_for_having_looked_at_all() -> None:
    y = torch.arange(60) % 3
    answers = y.clone()
    answers[(y == 1).nonzero().flatten()[:8]] = 2
    group = (torch.arange(60) < 30).long()
    (one,) = findings(Slices(), told(answers, y, group=group, classes=("a", "b", "c")))
    found = reading([one], "clean.worst_class")
    low, high = clopper_pearson(12, 20, 0.05 / 5)  # three classes and two groups
    assert (found.value, found.n) == (12 / 20, 20)
    assert (found.low, found.high) == pytest.approx((float(low), float(high)))
    rows = {str(r["label"]): r["value"] for r in one.figures[0].rows}
    assert rows == {
        "class b": 0.6, "group 1": 22 / 30, "class a": 1.0, "class c": 1.0, "group 0": 1.0,
    }  # fmt: skip
    assert next(iter(rows)) == "class b" and "class b" in one.says


def test_equal_slices_are_good_news() -> None:
    y = torch.arange(60) % 3
    (one,) = findings(Slices(), told(y, y))
    assert one.severity is Severity.GOOD and not one.advice


def fade(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Blanks the rows whose position modulo ten lies below ten times the severity."""
    gone = batch.index % 10 < round(10 * severity)
    assert isinstance(batch.x, Tensor)
    return batch._replace(x=batch.x * ~gone[:, None])


def turn(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Every answer becomes another one at full severity, none before."""
    assert isinstance(batch.x, Tensor)
    return batch._replace(x=batch.x.roll(1, 1) if severity == 1 else batch.x)


def test_corruptions_count_each_kind_and_severity() -> None:
    y = torch.arange(200) % 3
    answers = y.clone()
    answers[10:20] = (answers[10:20] + 1) % 3  # ten rows are wrong anyway, one of each digit
    check = Corruptions(shifts=(fade, turn), severities=(0.2, 1.0))
    (one,) = findings(check, told(answers, y))
    cells = {(r["row"], r["column"]): r["value"] for r in one.figures[0].rows}
    right = {("fade", "0.2"): 152, ("fade", "1"): 0, ("turn", "0.2"): 190}
    assert {k: round(200 * float(v or 0)) for k, v in cells.items() if k in right} == right
    turned = round(200 * float(cells["turn", "1"] or 0))
    assert turned == int(((answers + 1) % 3 == y).sum())
    assert reading([one], "corruptions.fade").value == pytest.approx(76 / 200)
    assert reading([one], "corruptions.turn").value == pytest.approx((190 + turned) / 400)
    mean = reading([one], "corruptions.mean")
    assert mean.value == pytest.approx((152 + 190 + turned) / 800) and mean.n == 200
    worst = reading([one], "corruptions.worst")
    low, high = clopper_pearson(0, 200, 0.05 / 4)  # the worst of four cells
    assert (worst.value, worst.low, worst.high) == (0, float(low), pytest.approx(float(high)))
    assert "fade at severity 1" in one.says and one.severity is Severity.WARNING


def test_the_interval_of_the_mean_resamples_rows_not_cells() -> None:
    y = torch.arange(100) % 3
    check = Corruptions(shifts=(fade, fade), severities=(0.5,))
    mean = reading(findings(check, told(y, y)), "corruptions.mean")
    rows = (torch.arange(100) % 10 >= 5).double()
    low, high = bootstrap_mean(rows, seed=0, alpha=0.05)
    assert (mean.low, mean.high) == pytest.approx((float(low), float(high)))


def test_all_corruptions_of_the_catalogue_on_images_and_none_on_tables() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(12, 1, 8, 8), torch.arange(12) % 2
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    (one,) = findings(Corruptions(severities=(0.6,)), subject(model, x, y))
    assert len(one.readings) == 2 + 15 and len(one.figures[0].rows) == 15
    with pytest.raises(Unsupported):
        findings(Corruptions(), subject(nn.Linear(5, 2), torch.rand(12, 5), y))
    with pytest.raises(ConfigError):
        findings(Corruptions(severities=(0.0,)), subject(model, x, y))
