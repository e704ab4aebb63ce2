"""Two runs on shared rows: exact tests, honest intervals, rows known by what they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from holdfast.core.data import Batches
from holdfast.core.records import Outcome, Reading
from holdfast.run.gates import gate
from holdfast.run.paired import Paired, compare, compared, flips, holm, resampled, shared, sure
from holdfast.run.rows import Rows, heard, keep, keys_of, packed, told, unpacked
from holdfast.run.verdict import verdict


def table(values, keys=None, group=None) -> Rows:
    flat = np.asarray(values, dtype=np.float64)
    own = np.arange(len(flat)) if keys is None else np.asarray(keys)
    return Rows(own.astype(np.uint64), flat, None if group is None else np.asarray(group))


def data(n: int = 40, seed: int = 0) -> Batches:
    generator = torch.Generator().manual_seed(seed)
    return Batches(x=torch.rand(n, 1, 3, 3, generator=generator), y=torch.arange(n) % 3)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (0, 6), (3, 9), (10, 10), (40, 11)])
def test_mcnemar_is_the_exact_test_of_a_fair_coin(gained, lost):
    found = flips(gained, lost, 100)
    truth = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert found.p == pytest.approx(truth, rel=1e-9)
    assert found.change == pytest.approx((gained - lost) / 100)
    assert -1 <= found.low <= found.change <= found.high <= 1


@pytest.mark.parametrize("n", [30, 100])
@pytest.mark.parametrize(("up", "down"), [(0.02, 0.02), (0.1, 0.02), (0.3, 0.25), (0.01, 0.2)])
def test_the_interval_of_flips_covers_the_truth(n, up, down):
    """Enumerated over all outcomes: no simulation."""
    covered = 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            chance = stats.multinomial.pmf([gained, lost, n - gained - lost], n,
                                           [up, down, 1 - up - down])  # fmt: skip
            if chance > 1e-9:
                one = flips(gained, lost, n)
                covered += chance * (one.low <= up - down <= one.high)
    assert covered >= 0.93


def test_the_bootstrap_agrees_with_the_interval_of_a_normal_mean():
    rng = np.random.default_rng(1)
    before = rng.normal(1.0, 0.5, 400)
    after = before + rng.normal(0.05, 0.3, 400)
    found = compare(table(before), table(after))
    assert found is not None
    moved = after - before
    error = stats.sem(moved)
    assert found.change == pytest.approx(moved.mean())
    assert found.low == pytest.approx(moved.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(moved.mean() + 1.96 * error, abs=0.2 * error)
    truth = stats.ttest_rel(after, before).pvalue
    assert found.p == pytest.approx(truth, rel=0.5, abs=2e-3)


def test_pairs_see_what_two_intervals_cannot():
    """Hard and easy rows differ far more than the two models do."""
    rng = np.random.default_rng(2)
    before = rng.uniform(0, 10, 300)
    found = compare(table(before), table(before + 0.02 + rng.normal(0, 0.05, 300)))
    assert found is not None and found.p < 0.001 and found.low > 0
    apart = stats.ttest_ind(before, before + 0.02).pvalue
    assert apart > 0.5


def test_false_alarms_stay_within_the_level():
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(60):
        base = rng.normal(size=80)
        one = resampled(table(base + rng.normal(0, 0.2, 80)), table(base + rng.normal(0, 0.2, 80)))
        alarms += one.p < 0.05
        assert (one.p < 0.049) <= (one.low > 0 or one.high < 0) or one.p > 0.045
    assert alarms <= stats.binom.ppf(0.999, 60, 0.07)


def test_a_grouped_number_is_the_calibration_error_of_its_rows():
    from holdfast.measures.outputs.bins import equal_width
    from holdfast.measures.outputs.calibration import ece

    generator = torch.Generator().manual_seed(4)
    y = torch.randint(0, 3, (200,), generator=generator)
    sharp = 4.0 * torch.randn(200, 3, generator=generator) + 2.0 * torch.nn.functional.one_hot(y, 3)
    tables, values = [], []
    for logit in (sharp.double(), sharp.double() / 3):
        p = logit.softmax(1)
        sure_, answer = p.max(1)
        gap = (answer == y).double() - sure_
        group = equal_width(sure_[:, None], 15).flatten()
        tables.append(table(gap.numpy(), group=group.numpy()))
        values.append(ece(logit, y, bins=15).error.value)
    found = compare(*tables)
    assert found is not None
    assert found.change == pytest.approx(values[1] - values[0], abs=1e-9)
    assert found.high < 0 and found.p < 0.01


def test_equal_rows_give_no_change_at_all():
    values = np.linspace(0, 1, 50)
    found = compare(table(values), table(values))
    assert found == Paired(0.0, 0.0, 0.0, 1.0, 50)


def test_too_few_shared_rows_say_nothing():
    assert compare(table([1.0] * 9), table([0.0] * 9)) is None
    assert compare(table([1.0] * 20), table([0.0] * 20, keys=range(15, 35))) is None
    assert compare(table([0.5] * 20), table([0.5] * 20, group=[0] * 20)) is None


def test_holm_is_the_step_down_rule():
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]
    changes = {"a": Paired(0, 0, 0, 0.01, 9), "b": Paired(0, 0, 0, 0.5, 9)}
    assert sure(changes) == pytest.approx({"a": 0.02, "b": 0.5})


def test_rows_are_known_by_content_not_by_place():
    batches = data()
    keys = keys_of(batches)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert np.array_equal(keys_of(batches.take(order)), keys[order.numpy()])
    assert len(set(keys.tolist())) == 40
    other = Batches(x=batches.x, y=(batches.y + 1) % 3)
    assert not set(keys.tolist()) & set(keys_of(other).tolist())


def test_equal_rows_are_told_apart_by_how_often_they_came():
    batches = Batches(x=torch.zeros(3, 2), y=torch.zeros(3, dtype=torch.long))
    keys = keys_of(batches)
    assert len(set(keys.tolist())) == 3
    assert np.array_equal(keys_of(batches.take(slice(0, 2))), keys[:2])


@pytest.mark.parametrize(
    "x", [["a", "b", "ab"], {"ids": torch.arange(6).reshape(3, 2), "mask": torch.ones(3, 2)}]
)
def test_texts_and_mappings_have_keys_too(x):
    keys = keys_of(Batches(x=x, y=torch.tensor([0, 1, 0])))
    assert len(set(keys.tolist())) == 3


def test_what_is_told_is_heard_and_survives_the_disk(tmp_path):
    batches = data()
    right = torch.arange(40) % 2 == 0
    with heard() as found:
        told("clean.accuracy", right, batches)
        told("calibration.ece", torch.rand(40), batches, torch.arange(40) % 5)
        told("broken", torch.full((40,), math.nan), batches)
        told("short", torch.ones(3), batches)
    told("nobody", right, batches)
    assert sorted(found) == ["calibration.ece", "clean.accuracy"]
    keep(tmp_path / "rows.npz", found)
    again = unpacked(tmp_path / "rows.npz")
    for name, one in found.items():
        assert np.array_equal(one.keys, again[name].keys)
        assert np.array_equal(one.values, again[name].values)
    assert np.array_equal(again["calibration.ece"].group, np.arange(40) % 5)
    assert packed(found) == packed(dict(reversed(found.items())))
    assert len(packed(found)) < 3000
    keep(tmp_path / "none.npz", {})
    assert not (tmp_path / "none.npz").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip", None])
def test_a_damaged_file_is_an_empty_table(tmp_path, content):
    file = tmp_path / "rows.npz"
    if content is not None:
        file.write_bytes(content)
    assert unpacked(file) == {}


def test_objects_are_never_unpacked(tmp_path):
    np.savez(tmp_path / "rows.npz", names=np.array([{"a": 1}], dtype=object))
    assert unpacked(tmp_path / "rows.npz") == {}


def test_tables_pair_by_name():
    a, b = table(np.zeros(20)), table(np.ones(20), keys=range(5, 25))
    left, right = shared(a, b)
    assert np.array_equal(left.keys, right.keys) and len(left.keys) == 15
    found = compared({"x": a, "y": a}, {"x": b, "z": b})
    assert list(found) == ["x"] and found["x"].change == 1.0 and found["x"].n == 15


def relative(change: Paired | None, before: float = 0.9):
    read = Reading(name="clean.accuracy", value=0.9, low=0.87, high=0.93, n=400)
    paired = {"clean.accuracy": change} if change else {}
    rule = (gate("clean.accuracy", ">= baseline - 0.01"),)
    fine = [Outcome(check="check:clean")]
    return verdict([read], rule, fine, {"clean.accuracy": before}, paired=paired)


def test_a_relative_gate_is_judged_by_the_paired_end():
    assert relative(None).gates[0].verdict == "undecided"
    kept = relative(flips(1, 1, 400))
    assert (kept.code, kept.gates[0].verdict) == (0, "pass")
    assert (
        kept.gates[0].says.startswith("changed by +0 pt [") and "400 shared" in kept.gates[0].says
    )
    assert relative(flips(0, 40, 400)).gates[0].verdict == "fail"
    assert relative(flips(0, 4, 400)).gates[0].verdict == "undecided"


def test_few_shared_rows_do_not_judge_and_an_absolute_gate_never_asks_them():
    assert relative(flips(0, 40, 100)).gates[0].verdict == "undecided"
    read = Reading(name="clean.accuracy", value=0.9, low=0.87, high=0.93, n=400)
    rule = (gate("clean.accuracy", ">= 0.8"),)
    paired = {"clean.accuracy": flips(0, 200, 400)}
    assert verdict([read], rule, [Outcome(check="c")], paired=paired).code == 0


def test_doubt_still_keeps_an_attack_from_passing():
    read = Reading(name="a", value=0.9, low=0.87, high=0.93, n=400, bound="upper", flags=("x",))
    rule = (gate("a", ">= baseline - 0.01"),)
    found = verdict([read], rule, [Outcome(check="c")], {"a": 0.9}, paired={"a": flips(1, 1, 400)})
    assert found.gates[0].verdict == "undecided"
