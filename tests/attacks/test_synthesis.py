"""Synthesis: the ascent stays in its ball, keeps what it must, and its loss falls."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from holdfast.attacks.pgd import PGD
from holdfast.attacks.synthesis import inpaint, paint, psnr, super_resolve, synthesize
from holdfast.ops.gaussians import ClassGaussians
from holdfast.testing.worlds import Images, two_class
from holdfast.threats.norms import L2

WORLD = Images.make(rows=6)
GOAL = (WORLD.y + 1) % 5


def ascent(steps: int) -> PGD:
    return PGD(steps=steps, travel=steps / 20, start="none", climb="soft")


def test_images_stay_in_the_ball_and_the_loss_falls():
    before = cross_entropy(WORLD.model(WORLD.x), GOAL, reduction="none")
    for steps in (10, 20, 30, 40):
        made = synthesize(WORLD.model, WORLD.x, GOAL, threat=L2(radius=1.0), attack=ascent(steps))
        size = (made - WORLD.x).flatten(1).norm(dim=1)
        assert (size <= 1 + 1e-6).all() and made.min() >= 0 and made.max() <= 1
        after = cross_entropy(WORLD.model(made), GOAL, reduction="none")
        assert (after <= before + 1e-9).all()
        before = after


def test_the_first_step_is_the_normalised_gradient():
    world = two_class(rows=3)
    made = synthesize(
        world.model, world.x, 1 - world.y, threat=L2(radius=0.1),
        attack=PGD(steps=1, travel=1.0, start="none", climb="soft"),
    )  # fmt: skip
    x = world.x.clone().requires_grad_()
    loss = cross_entropy(world.model(x), 1 - world.y, reduction="sum")
    (g,) = torch.autograd.grad(loss, x)
    assert torch.allclose(made, world.x - 0.1 * g / g.norm(dim=1, keepdim=True), atol=1e-6)


def test_it_goes_on_after_it_has_won():
    """Rows that already show the class move on: certainty is wanted, not the answer alone."""
    made = synthesize(WORLD.model, WORLD.x, WORLD.y, threat=L2(radius=0.5), attack=ascent(10))
    assert (made != WORLD.x).flatten(1).any(1).all()


def test_what_is_known_stays():
    hole = torch.zeros(6, 6).double()
    hole[:, 3:] = 1
    held, free = (
        inpaint(
            WORLD.model, WORLD.x, hole, GOAL, weight=w, threat=L2(radius=2.0), attack=ascent(40)
        )
        for w in (1e6, 0.0)
    )
    off = [((m - WORLD.x) * (1 - hole)).abs().amax() for m in (held, free)]
    assert off[0] < 0.1 * off[1]
    filled = inpaint(WORLD.model, WORLD.x, hole, GOAL, threat=L2(radius=0.0), attack=ascent(2))
    mean = WORLD.x[..., :3].mean((2, 3), keepdim=True)
    assert torch.allclose(filled[..., 3:], mean.expand(6, 1, 6, 3))
    other = torch.where(hole > 0, 0.123, WORLD.x)
    assert torch.equal(
        filled, inpaint(WORLD.model, other, hole, GOAL, threat=L2(radius=0.0), attack=ascent(2))
    )


def test_enlarged_images_and_painted_features():
    small = WORLD.x[:, :, :3, :3]
    large = super_resolve(
        WORLD.model, small, GOAL, factor=2, threat=L2(radius=0.0), attack=ascent(2)
    )
    assert torch.equal(large[:, :, ::2, ::2], small) and torch.equal(large[:, :, 1::2, 1::2], small)
    where = torch.zeros(6, 6).double()
    where[2:4, 2:4] = 1

    def unit(z):
        return z[:, 2]

    held, free = (
        paint(WORLD.model, WORLD.x, where, unit, weight=w, threat=L2(radius=1.0), attack=ascent(40))
        for w in (30.0, 0.0)
    )
    before = unit(WORLD.model(WORLD.x))
    assert (unit(WORLD.model(held)) > before).all() and (unit(WORLD.model(free)) > before).all()
    off = [((m - WORLD.x) * (1 - where)).square().mean() for m in (held, free)]
    assert off[0] < 0.5 * off[1]


def test_starts_have_the_moments_of_their_class():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(400, 3, generator=g).double() @ torch.randn(3, 3, generator=g).double()
    y = torch.arange(400) % 2
    fitted = ClassGaussians.fit(x + y[:, None], y)
    drawn = fitted.draw(torch.ones(20000).long(), torch.randn(20000, 3, generator=g).double())
    own = (x + y[:, None])[y == 1]
    assert torch.allclose(drawn.mean(0), own.mean(0), atol=0.1)
    assert torch.allclose(drawn.T.cov(), own.T.cov(), rtol=0.1, atol=0.1)
    exact = fitted.factors[1] @ fitted.factors[1].T
    assert torch.allclose(exact, own.T.cov())


def test_psnr_is_that_of_the_mean_square():
    truth = torch.zeros(1, 1, 2, 2)
    assert torch.allclose(psnr(truth + 0.1, truth), torch.tensor([20.0]))
    corner = torch.tensor([[1.0, 0], [0, 0]])
    assert torch.allclose(psnr(truth + 0.1 * corner, truth, corner), torch.tensor([20.0]))


def test_a_module_in_training_mode_is_left_as_it_was():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 5)).double().train()
    synthesize(model, WORLD.x, GOAL, threat=L2(radius=0.5), attack=ascent(3))
    assert model.training and all(p.grad is None and p.requires_grad for p in model.parameters())
