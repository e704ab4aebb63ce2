"""Drift tests against SciPy, closed forms, and their own promise under no change."""

import numpy as np
import pytest
import torch
from scipy import stats

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import readings
from holdfast.measures.data.drift import drift
from holdfast.measures.data.stability import label_shift, stability_index, transport
from holdfast.measures.data.two_sample_tests import adjusted
from holdfast.ops.two_samples import arranged_mmd2, mmd2

G = torch.Generator().manual_seed(0)
A = torch.randn(60, 4, generator=G, dtype=torch.float64)
B = torch.randn(80, 4, generator=G, dtype=torch.float64)
MOVED = A + torch.tensor([0.0, 0.0, 1.0, 0.0])


def test_ks_against_scipy():
    found = drift(MOVED, B)
    want = [stats.ks_2samp(MOVED[:, j].numpy(), B[:, j].numpy()) for j in range(4)]
    assert found.found.p.tolist() == pytest.approx([w.pvalue for w in want], abs=1e-12)
    assert found.p == pytest.approx(min(1, 4 * min(w.pvalue for w in want)))
    assert found.alarm and found.moved() == [2]
    assert not drift(A, B).alarm


def test_corrections_against_scipy_and_by_hand():
    p = torch.tensor([0.04, 0.01, 0.03, 0.5]).double()
    want = stats.false_discovery_control(p.numpy())
    assert adjusted(p, "bh").tolist() == pytest.approx(want.tolist())
    assert adjusted(p, "bonferroni").tolist() == pytest.approx([0.16, 0.04, 0.12, 1.0])
    assert adjusted(p, "holm").tolist() == pytest.approx([0.09, 0.04, 0.09, 0.5])


def test_chi_square_against_scipy():
    a = torch.randint(3, (50,), generator=G)
    b = torch.randint(4, (70,), generator=G)
    table = np.stack([np.bincount(t.numpy(), minlength=4) for t in (a, b)])
    want = stats.chi2_contingency(table, correction=False)
    assert drift(a, b, test="chi-square").p == pytest.approx(want.pvalue)
    assert drift(a * 0, b * 0, test="chi-square").p == 1.0


def test_mmd_arrangements_are_mmd2():
    values = arranged_mmd2(A[None], B[None], permutations=3)
    both = torch.cat([A, B])
    width = torch.pdist(both).median()[None]
    assert float(values[0, 0]) == pytest.approx(
        float(mmd2(A[None], B[None], width=width)), abs=1e-12
    )
    several = arranged_mmd2(A[None], B[None], permutations=1, scales=(1.0, 1.0))
    assert torch.allclose(several, values[:, :2])


@pytest.mark.parametrize("test", ["mmd", "classifier"])
def test_joint_tests_find_a_moved_mean_only(test):
    assert drift(MOVED, B, test=test, permutations=99).p < 0.05
    assert drift(A, B, test=test, permutations=99).p > 0.05


def test_variance_alone_is_found_where_means_agree():
    wide, same = 4 * A, B
    assert stats.ttest_ind(wide[:, 0].numpy(), same[:, 0].numpy()).pvalue > 0.05
    assert drift(wide, same).alarm and drift(wide, same, test="mmd", permutations=99).alarm


@pytest.mark.parametrize("test", ["ks", "mmd"])
def test_false_alarms_keep_their_level(test):
    g = torch.Generator().manual_seed(2)
    alarms = 0
    for i in range(40):
        x = torch.randn(60, 5, generator=g)
        alarms += drift(x[:30], x[30:], test=test, permutations=39, seed=i).alarm
    assert alarms <= 7  # of 40 at 0.05: more has a chance below 0.2 %


def test_bad_samples_are_refused():
    for a, b in ((A[:1], B), (A, B[:, :3]), (A * torch.nan, B), (A[:, :0], B[:, :0])):
        with pytest.raises(ShapeError):
            drift(a, b)
    with pytest.raises(ShapeError):
        drift(A[:3], B[:3], test="classifier")
    for bad in ({"test": "t"}, {"correction": "none"}, {"permutations": 0}):
        with pytest.raises(ConfigError):
            drift(A, B, **bad)
    assert [r.name for r in readings(drift(A, B))] == ["drift.p", "drift.moved"]


def test_sizes_of_change():
    want = [stats.wasserstein_distance(MOVED[:, j].numpy(), B[:, j].numpy()) for j in range(4)]
    assert transport(MOVED, B).tolist() == pytest.approx(want)
    index = stability_index(MOVED, B)
    assert int(index.argmax()) == 2 and bool((index >= 0).all())
    assert float(stability_index(B, B).max()) == 0.0
    edges = np.quantile(B[:, 2].numpy(), np.linspace(0, 1, 11)[1:-1])
    q, p = (np.bincount(np.searchsorted(edges, s[:, 2].numpy()), minlength=10) + 0.5
            for s in (MOVED, B))  # fmt: skip
    q, p = q / q.sum(), p / p.sum()
    assert float(index[2]) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))


def test_label_shift_inverts_the_confusion():
    y = torch.tensor([0] * 50 + [1] * 50)
    predicted = y.clone()
    predicted[:10], predicted[50:55] = 1, 0  # 80 % and 90 % are right
    new = torch.tensor([0] * 31 + [1] * 69)  # of 30 zeros and 70 ones: .8 * 30 + .1 * 70 = 31
    assert label_shift(predicted, y, new, 2).tolist() == pytest.approx([0.6, 1.4])
    with pytest.raises(ShapeError):
        label_shift(predicted, y, new[:0], 2)
