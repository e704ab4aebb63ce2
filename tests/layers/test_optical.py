"""The optical layer by hand, its ways back, and feedback as an outer product."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.backward.backprop import Backprop
from holdfast.backward.feedback import DirectFeedback
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.layers.optical import OpticalHead, RandomOptics, SignBinarize, exposed, with_way
from holdfast.objectives.supervised import Supervised
from holdfast.run.training import TrainingRun

G = torch.Generator().manual_seed(0)
U = torch.randn(4, 6, generator=G)


def test_the_intensity_is_that_of_the_complex_projection():
    layer = RandomOptics(6, 9, seed=3)
    w = torch.complex(layer.real, layer.imaginary)
    b = U.sign()
    assert torch.allclose(layer(b), (b.to(w) @ w.T).abs().square(), atol=1e-6)
    wide = RandomOptics(400, 300)
    signs = 2.0 * torch.randint(2, (50, 400), generator=G) - 1
    assert abs(float(wide(signs).mean()) - 1) < 0.1
    assert not torch.equal(RandomOptics(6, 9, seed=4).real, layer.real)


def test_the_sign_passes_gradients_or_none():
    u = U.clone().requires_grad_()
    out = SignBinarize()(u)
    assert torch.equal(out, torch.where(U >= U.mean(1, keepdim=True), 1.0, -1.0))
    g = torch.randn(4, 6, generator=G)
    (back,) = torch.autograd.grad(out, u, g)
    assert torch.allclose(back, g - g.mean(1, keepdim=True))
    assert not SignBinarize(backward="none", masks=True)(u).requires_grad


def test_the_random_way_back_is_another_matrix():
    layer = RandomOptics(6, 9, backward="random", masks=True)
    b = U.clone().requires_grad_()
    g = torch.randn(4, 9, generator=G)
    (back,) = torch.autograd.grad(layer(b), b, g)
    assert torch.allclose(back, g @ layer.back)
    true = RandomOptics(6, 9)
    assert torch.allclose(true(b), layer(b))
    assert torch.autograd.gradcheck(true.double(), (U.double().requires_grad_(),))


@pytest.mark.parametrize("make", [
    lambda way: SignBinarize(backward="none"),
    lambda way: RandomOptics(3, 3, backward="random"),
    lambda way: OpticalHead(3, 2, backward="none"),
])  # fmt: skip
def test_gradients_are_hidden_knowingly_or_not_at_all(make):
    with pytest.raises(ConfigError, match="masks=True"):
        make(None)


def net(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(5, 7), nn.ReLU(),
            OpticalHead(7, 3, hidden=8, intensities=12, backward="none", masks=True),
        )  # fmt: skip


def after(model: nn.Module, batch: Batch, backward: object) -> None:
    run = TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)
    backward(run, batch, Supervised())  # type: ignore[operator]


def test_ways_are_of_one_function():
    model, x = net(), torch.rand(4, 5, generator=G)
    true = exposed(model)
    assert torch.equal(true(x), model(x)) and torch.equal(with_way(model, "random")(x), model(x))
    seen = x.clone().requires_grad_()
    assert true(seen).requires_grad and with_way(model, "random")(seen).requires_grad
    (gradient,) = torch.autograd.grad(true(seen)[:, 0].sum(), seen)
    assert gradient.any()
    (none,) = torch.autograd.grad(model(seen)[:, 0].sum(), seen, allow_unused=True)
    assert none is None


def test_below_the_layer_one_row_learns_by_an_outer_product():
    """dL/da below is e B, so the weights below get outer(e B through the ReLU, their input)."""
    model = net()
    head = model[2]
    x, y = torch.rand(1, 5, generator=G), torch.tensor([1])
    after(model, Batch(x, y, torch.arange(1)), DirectFeedback(seed=2))
    e = model(x).softmax(1).detach() - torch.eye(3)[y]
    g = Dice.of(1, 2, "feedback").generator("0/3/8")
    matrix = torch.randn(3, 8, generator=g) / 3**0.5
    h = model[1](model[0](x)).detach()
    u = head.first(h)
    below = (e @ matrix) * (u > 0)
    assert torch.allclose(head.first.weight.grad, torch.outer(below[0], h[0]), atol=1e-6)
    first = (below @ head.first.weight) * (h > 0)
    assert torch.allclose(model[0].weight.grad, torch.outer(first[0], x[0]), atol=1e-6)
    features = head.optics(head.sign(u.relu()))
    assert torch.allclose(head.last.weight.grad, torch.outer(e[0], features[0]), atol=1e-6)


def test_without_a_blocked_layer_it_is_back_propagation():
    x, y = torch.rand(4, 5, generator=G), torch.arange(4) % 3
    batch = Batch(x, y, torch.arange(4))
    one, two = exposed(net()), exposed(net())
    after(one, batch, DirectFeedback())
    after(two, batch, Backprop())
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


def test_hooks_are_gone_and_below_stays_still_without_feedback():
    model, batch = net(), Batch(torch.rand(4, 5, generator=G), torch.arange(4) % 3, torch.arange(4))
    after(model, batch, Backprop())
    assert model[0].weight.grad is None
    after(model, batch, DirectFeedback())
    assert model[0].weight.grad is not None
    assert not model._forward_hooks and not model[2].sign._forward_pre_hooks


def test_passes_of_an_attack_take_no_part():
    """An objective that attacks first calls the model without a graph to the weights."""
    from holdfast.attacks.pgd import PGD
    from holdfast.objectives.adversarial import AdversarialTraining
    from holdfast.threats.norms import LInf

    batch = Batch(torch.rand(4, 5, generator=G), torch.arange(4) % 3, torch.arange(4))
    still = AdversarialTraining(
        attack=PGD(steps=2, climb="soft"), threat=LInf(radius=0.0), clean=1.0
    )
    one, two = (with_way(net(), "none") for _ in range(2))
    for part in (one[2].optics, two[2].optics):
        part.way = "exact"
    run = TrainingRun(one, nn.ModuleDict(), Dice(0, batch.index), 1)
    with pytest.raises(Unsupported):  # no gradient reaches the change: said, not hidden
        DirectFeedback()(run, batch, still)
    after(two, batch, DirectFeedback())
    assert two[0].weight.grad is not None and not one._forward_hooks
