"""Vector scaling against the conditions of its optimum."""

import pytest
import torch
import torch.nn.functional as F

from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.defend.vector import VectorScaling

G = torch.Generator().manual_seed(0)
Z = 2 * torch.randn(300, 3, generator=G, dtype=torch.float64)
Y = torch.multinomial((Z / 2).softmax(1), 1, generator=G)[:, 0]


def same(x):
    return x


def test_the_fit_is_an_optimum():
    found = VectorScaling(decay=0.0).fit(same, Batches(x=Z, y=Y))
    z = VectorScaling(scales=found.scales, offsets=found.offsets)(same)(Z)
    residual = z.softmax(1) - F.one_hot(Y, 3)  # gradients by offsets, and times logits by scales
    assert float(residual.mean(0).abs().max()) < 1e-5
    assert float((residual * Z).mean(0).abs().max()) < 1e-5


def test_it_is_the_model_until_fitted_and_skips_unlabelled_rows():
    assert torch.equal(VectorScaling()(same)(Z), Z)
    holes = torch.where(torch.arange(300) % 2 == 0, -100, Y)
    a = VectorScaling().fit(same, Batches(x=Z, y=holes))
    b = VectorScaling().fit(same, Batches(x=Z[1::2], y=Y[1::2]))
    assert a.scales == pytest.approx(b.scales)


def test_separated_rows_stay_finite_and_bad_ones_are_refused():
    x = torch.eye(3).double().repeat(5, 1)
    found = VectorScaling().fit(same, Batches(x=x, y=torch.arange(3).repeat(5)))
    assert torch.tensor(found.scales).isfinite().all()
    with pytest.raises(ShapeError):
        VectorScaling().fit(same, Batches(x=x, y=torch.full((15,), -100)))
    with pytest.raises(ShapeError):
        VectorScaling(scales=(1.0,))(same)
    with pytest.raises(Unsupported):
        found(same)(Z[:, :2])
