"""Projected steps leave outputs and slopes of old rows alone."""

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Later
from holdfast.hooks.projected import Projected, grown
from holdfast.recipes.continual import Continual
from holdfast.run.loop import Training

SLOW = Later("torch:SGD", lr=0.02, momentum=0.9)


def drawn(make) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().double().eval()


def plain() -> nn.Module:
    return drawn(lambda: nn.Sequential(nn.Linear(4, 60), nn.ReLU(), nn.Linear(60, 60), nn.ReLU(),
                                       nn.Linear(60, 3)))  # fmt: skip


def images() -> nn.Module:
    return drawn(lambda: nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.Tanh(), nn.Conv2d(6, 4, 2), nn.Tanh(),
        nn.Flatten(), nn.Linear(64, 3, bias=False)))  # fmt: skip


def rows(n: int, *shape: int, seed: int = 1):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(n, *shape, generator=g, dtype=torch.float64), torch.arange(n) % 3


def slopes(model, x):
    """`(B, K, ...)`: the gradient of each logit in the input."""
    moved = x.clone().requires_grad_()
    z = model(moved)
    return torch.stack([torch.autograd.grad(z[:, k].sum(), moved, retain_graph=True)[0]
                        for k in range(z.shape[1])], 1)  # fmt: skip


def later(model, bases, shape) -> float:
    """Train on other rows; returns how far the last layer moved."""
    x, y = rows(30, *shape, seed=2)
    before = model[-1].weight.detach().clone()
    Training(hooks=(Projected(bases=bases),), optimizer=SLOW, epochs=3, schedule="constant")(
        model, Batches(x=x, y=y, size=10)
    )
    return float((model[-1].weight.detach() - before).norm())


def test_outputs_and_slopes_on_old_rows_stay():
    model, (x, y) = plain(), rows(3, 4)
    z, s = model(x).detach(), slopes(model, x)
    bases = grown(model, x, y, outputs=1.0, slopes=1.0, every=True)
    assert later(model, bases, (4,)) > 1e-2
    assert torch.allclose(model(x), z, rtol=1e-8, atol=1e-10)
    assert torch.allclose(slopes(model, x), s, rtol=1e-8, atol=1e-10)


def test_outputs_alone_do_not_keep_slopes():
    model, (x, y) = plain(), rows(3, 4)
    z, s = model(x).detach(), slopes(model, x)
    later(model, grown(model, x, y, outputs=1.0, slopes=0.0), (4,))
    assert torch.allclose(model(x), z, rtol=1e-8, atol=1e-10)
    assert float((slopes(model, x) - s).norm() / s.norm()) > 1e-3
    free = plain()
    later(free, None, (4,))
    assert not torch.allclose(free(x), z, rtol=1e-3)


def test_convolutions_and_layers_without_bias():
    model, (x, y) = images(), rows(1, 1, 9, 9)
    z = model(x).detach()
    bases = grown(model, x, y, outputs=1.0, slopes=0.0)
    later(model, bases, (1, 9, 9))
    assert torch.allclose(model(x), z, rtol=1e-8, atol=1e-10)


def test_bases_are_orthonormal_grow_and_hold_the_share():
    model, (x, y) = plain(), rows(40, 4)
    first = grown(model, x, y, outputs=0.95, slopes=0.95)
    second = grown(model, *rows(40, 4, seed=5), first, outputs=0.95, slopes=0.95)
    for name, basis in first.items():
        eye = torch.eye(basis.shape[1], dtype=basis.dtype)
        assert torch.allclose(basis.T @ basis, eye, atol=1e-6)
        both = second[name]
        assert both.shape[1] >= basis.shape[1]
        assert torch.allclose(both @ (both.T @ basis), basis, atol=1e-8)
    h = torch.cat([model[:2](x).detach(), torch.ones(40, 1).double()], 1).T
    kept = first["2"] @ (first["2"].T @ h)
    assert float(kept.square().sum() / h.square().sum()) >= 0.95 - 1e-9


def test_one_task_is_training_and_what_cannot_be_done():
    x, y = rows(30, 4)
    data = Batches(x=x, y=y, size=10)
    ours, twin = plain(), plain()
    Continual(objective="objective:supervised", optimizer=SLOW, epochs=2)(ours, data)
    Training(optimizer=SLOW, epochs=2, schedule="constant")(twin, data, dice=_dice())
    assert torch.equal(ours[0].weight, twin[0].weight)
    with pytest.raises(Unsupported, match="linear"):
        grown(nn.Sequential(nn.Flatten()), x, y)
    with pytest.raises(ShapeError, match="basis"):
        later(plain(), {"0": torch.eye(3)}, (4,))


def _dice():
    from holdfast.core.dice import Dice

    return Dice.of(30).spawn("task0")
