"""Losses against their identities, closed forms and torch."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.losses.generalized import generalized_cross_entropy
from holdfast.losses.normalized import active_passive, normalized_cross_entropy

G = torch.Generator().manual_seed(0)
Z = 4 * torch.randn(1000, 7, generator=G, dtype=torch.float64)
Y = torch.randint(7, (1000,), generator=G)
ALL = [cross_entropy, normalized_cross_entropy, active_passive, generalized_cross_entropy]


def over_labels(loss, z=Z):
    return torch.stack([loss(z, torch.full((len(z),), k)) for k in range(z.shape[1])], 1)


def test_cross_entropy_is_torchs() -> None:
    y = Y.clone()
    y[::3] = -100
    expected = F.cross_entropy(Z, y, reduction="none", ignore_index=-100)
    assert torch.allclose(cross_entropy(Z, y), expected, atol=1e-12)


def test_normalized_adds_up_to_one_and_is_one_over_k_without_knowledge() -> None:
    table = over_labels(normalized_cross_entropy)
    assert torch.allclose(table.sum(1), torch.ones(1000).double(), atol=1e-12)
    assert ((table >= 0) & (table <= 1)).all()
    assert torch.allclose(
        normalized_cross_entropy(torch.zeros(1, 7), torch.tensor([2])), torch.tensor([1 / 7])
    )


def test_passive_part_adds_up_to_its_constant() -> None:
    table = over_labels(partial(active_passive, active=0.0, passive=1.0))
    assert torch.allclose(table.sum(1), torch.full((1000,), 12.0).double(), atol=1e-10)
    whole = active_passive(Z, Y, active=10.0, passive=0.1)
    p = Z.softmax(1).gather(1, Y[:, None]).squeeze(1)
    assert torch.allclose(whole, 10 * normalized_cross_entropy(Z, Y) + 0.2 * (1 - p), atol=1e-12)


def test_generalized_has_its_ends_its_bounds_and_its_gradient() -> None:
    p = Z.softmax(1).gather(1, Y[:, None]).squeeze(1)
    near = generalized_cross_entropy(Z / 4, Y, power=1e-4)
    assert torch.allclose(near, cross_entropy(Z / 4, Y), atol=1e-2, rtol=1e-3)
    assert torch.allclose(generalized_cross_entropy(Z, Y, power=1.0), 1 - p, atol=1e-12)
    for q in (0.3, 0.7, 1.0):
        total = over_labels(partial(generalized_cross_entropy, power=q)).sum(1)
        low, high = (7 - 7 ** (1 - q)) / q, 6 / q
        assert ((total >= low - 1e-9) & (total <= high + 1e-9)).all()
    z = Z.clone().requires_grad_()
    (ours,) = torch.autograd.grad(generalized_cross_entropy(z, Y, power=0.7).sum(), z)
    (plain,) = torch.autograd.grad(cross_entropy(z, Y).sum(), z)
    assert torch.allclose(ours, p[:, None] ** 0.7 * plain, atol=1e-8)


@pytest.mark.parametrize("loss", ALL)
def test_gradients_are_right_and_soft_labels_agree(loss) -> None:
    z = Z[:5].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: loss(v, Y[:5]), (z,))
    hot = F.one_hot(Y, 7).double()
    assert torch.allclose(loss(Z, hot), loss(Z, Y), atol=1e-12)
    far = 1e4 * Z[:5].clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(far, Y[:5]).sum(), far)
    assert slope.isfinite().all()


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="power"):
        generalized_cross_entropy(Z, Y, power=0.0)
    with pytest.raises(ConfigError, match="negative"):
        active_passive(Z, Y, active=-1.0)
    with pytest.raises(ShapeError, match="labels"):
        cross_entropy(Z, Y[:, None].expand(-1, 3))
