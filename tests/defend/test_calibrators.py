"""Matrix scaling, histogram binning and isotonic curves against scikit-learn and their formulas."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.defend.matrix import MatrixScaling
from holdfast.defend.one_by_one import HistogramBinning, Isotonic

G = torch.Generator().manual_seed(0)
Z = 2 * torch.randn(400, 3, generator=G, dtype=torch.float64)
Y = torch.multinomial((Z / 2).softmax(1), 1, generator=G)[:, 0]
NEW = 3 * torch.randn(200, 3, generator=G, dtype=torch.float64)
ALL = [MatrixScaling(), HistogramBinning(), Isotonic()]


def same(x):
    return x


def test_matrix_scaling_is_multinomial_regression():
    found = MatrixScaling(decay=0.0).fit(same, Batches(x=Z, y=Y))
    z = MatrixScaling(weights=found.weights, offsets=found.offsets)(same)(Z)
    residual = z.softmax(1) - F.one_hot(Y, 3)
    assert float((residual.T @ Z / len(Z)).abs().max()) < 1e-5
    theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=2000).fit(Z.numpy(), Y.numpy())
    want = torch.from_numpy(theirs.predict_proba(NEW.numpy()))
    model = MatrixScaling(weights=found.weights, offsets=found.offsets)(same)
    assert torch.allclose(model(NEW).softmax(1), want, atol=1e-3)


def test_isotonic_is_that_of_scikit_learn():
    z = (Z * 4).round() / 4  # ties
    found = Isotonic().fit(same, Batches(x=z, y=Y))
    p, new = z.softmax(1), NEW.softmax(1)
    columns = []
    for k in range(3):
        curve = IsotonicRegression(out_of_bounds="clip").fit(p[:, k].numpy(), (Y == k).numpy())
        columns.append(torch.from_numpy(curve.predict(new[:, k].numpy())))
    want = torch.stack(columns, 1).clamp(min=1e-12)
    want = want / want.sum(1, keepdim=True)
    assert torch.allclose(found(same)(NEW).softmax(1), want, atol=1e-9)


def test_bins_hold_frequencies():
    found = HistogramBinning(bins=7).fit(same, Batches(x=Z, y=Y))
    p = Z.softmax(1)
    want = torch.zeros_like(p)
    for i in range(len(Z)):
        for k in range(3):
            near = (p[:, k] * 7).floor() == (p[i, k] * 7).floor()
            want[i, k] = (Y == k)[near].double().mean()
    want = want.clamp(min=1e-12)
    got = found(same)(Z).softmax(1)
    assert torch.allclose(got, want / want.sum(1, keepdim=True), atol=1e-9)
    empty = HistogramBinning(bins=4).fit(same, Batches(x=Z[:1], y=Y[:1]))
    assert sum(h in (0.125, 0.375, 0.625, 0.875) for h in empty.heights[0]) == 6


@pytest.mark.parametrize("method", ALL)
def test_identity_until_fitted_one_class_and_bad_rows(method):
    assert torch.equal(method(same)(Z), Z)
    one = method.fit(same, Batches(x=Z, y=torch.zeros(400).long()))
    z = one(same)(NEW.float())
    assert bool(z.isfinite().all()) and z.dtype == torch.float32
    assert float((z.argmax(1) == 0).double().mean()) > 0.95
    hole = Z.clone()
    hole[::2] = float("nan")
    a, b = (method.fit(same, Batches(x=x, y=y)) for x, y in ((hole, Y), (Z[1::2], Y[1::2])))
    assert torch.allclose(a(same)(NEW), b(same)(NEW), atol=1e-6)
    with pytest.raises(ShapeError):
        method.fit(same, Batches(x=Z, y=torch.full((400,), -100)))
    with pytest.raises(Unsupported):
        one(same)(NEW[:, :2])


def test_sizes_that_do_not_match_are_refused():
    for bad in (
        MatrixScaling(weights=((1.0, 0.0), (0.0, 1.0)), offsets=(0.0,)),
        MatrixScaling(weights=((1.0,), (0.0, 1.0)), offsets=(0.0, 0.0)),
        Isotonic(knots=((0.1, 0.2),), heights=((0.1,),)),
        HistogramBinning(knots=((),), heights=((),)),
    ):
        with pytest.raises(ShapeError):
            bad(same)
