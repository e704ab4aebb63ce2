"""Mixtures: the lemma against free choices of the accurate part, and radii of linear ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.certify.linear.ibp import IBP
from holdfast.certify.smoothing.mixed import MixedMargin, lipschitz_radius
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Targeted, Untargeted
from holdfast.defend.mixed import Mixed, Mixing, blend
from holdfast.defend.smoothed import smoothed
from holdfast.run.search import search
from holdfast.testing.worlds import Linear, TinyReLU, three_class
from holdfast.threats.norms import L2, LInf


def test_the_lemma_holds_and_is_tight() -> None:
    """100,000 free choices of the accurate part, the worst one among them."""
    g = torch.Generator().manual_seed(0)
    for a in (0.6, 0.8, 0.95):
        lead = (1 - a) / a + 1e-9
        robust = torch.rand(100_000, 4, generator=g).double()
        robust = robust / robust.sum(1, keepdim=True)
        top = robust.topk(2, 1)
        robust, y = robust[top.values[:, 0] - top.values[:, 1] >= lead], top.indices[:, 0]
        y = y[top.values[:, 0] - top.values[:, 1] >= lead]
        free = torch.rand(len(robust), 4, generator=g).double().pow(8)
        free[::2] = torch.eye(4, dtype=torch.float64)[torch.randint(4, (len(free[::2]),))]
        free = free / free.sum(1, keepdim=True)
        mixture = (1 - a) * free + a * robust
        assert torch.equal(mixture.argmax(1), y)
        just = torch.tensor([[0.5 + (lead - 0.01) / 2, 0.5 - (lead - 0.01) / 2]])
        assert ((1 - a) * torch.tensor([[0.0, 1.0]]) + a * just).argmax(1) == 1


def test_outputs_are_the_mixture_and_its_ends_the_models() -> None:
    world = three_class()
    other = nn.Linear(world.x.shape[1], 3).double()
    g, h = world.model(world.x), other(world.x)
    for a in (0.0, 0.3, 1.0):
        mixed = Mixing(robust=other, weight=a)(world.model)(world.x)
        exact = (1 - a) * g.softmax(1) + a * h.softmax(1)
        assert torch.allclose(mixed.softmax(1), exact)
    assert torch.allclose(Mixing(robust=other, weight=0.0)(world.model)(world.x), g)
    assert torch.allclose(Mixing(robust=other, weight=1.0)(world.model)(world.x), h)
    far = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])
    assert blend(far, far.flip(1), torch.full((2, 1), 0.7)).isfinite().all()


def test_a_mixer_moves_the_weight_within_its_span() -> None:
    world = three_class()

    def mixer(x: torch.Tensor) -> torch.Tensor:
        return 1e3 * (x[:, :1] - 0.5)

    mixed = Mixing(weight=0.9, span=0.3, mixer=mixer)(world.model)
    weight = mixed.weight(world.x)[:, 0]
    assert torch.allclose(
        weight[world.x[:, 0] > 0.51].amin(), torch.tensor(0.9).double(), atol=0.01
    )
    assert weight.min() >= 0.63 - 1e-9
    assert mixed.least == pytest.approx(0.63)
    with pytest.raises(ConfigError):
        Mixing(mixer=mixer, span=0.0)(world.model)


class Rival(nn.Module):
    """An accurate part that always answers with the robust part's second choice, and is sure."""

    def __init__(self, robust: nn.Module) -> None:
        super().__init__()
        self.robust = robust

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        second = self.robust(x).topk(2, 1).indices[:, 1]
        return 50 * nn.functional.one_hot(second, 3).to(x) + 0 * x.sum(1, keepdim=True)


@pytest.mark.parametrize("inner", ["certifier:crown", IBP()])
def test_no_attack_breaks_what_is_proved_whatever_the_accurate_part(inner: object) -> None:
    for world in (three_class(rows=40), TinyReLU.make(rows=40)):
        robust, threat = world.model, LInf(radius=0.03)
        rival: nn.Module = Rival(robust) if world.model(world.x).shape[1] == 3 else robust
        proved = 0
        for a in (0.5, 0.7, 0.95):
            mixed = Mixed(rival, robust, a, a)
            found = MixedMargin(inner=inner)(mixed, world.x, world.goal, threat)
            attacked = search(PGD(steps=20, restarts=2), mixed, world.x, world.goal, threat)
            assert not (attacked.broken & found.proved).any()
            assert (attacked.margin <= found.margin).all()
            assert found.proved.sum() >= proved  # more weight proves more
            proved = int(found.proved.sum())
            assert a > 0.5 or not proved
        assert proved


def test_smoothed_part_of_a_linear_model_has_the_closed_form() -> None:
    world, sigma, a = Linear.make(2, 60, 8), 0.25, 0.8
    model = Mixed(world.model, smoothed(world.model, sigma=sigma), a, a)
    found = MixedMargin(samples=20_000)(model, world.x, world.goal, L2(radius=0.02))
    limit = torch.special.ndtri(torch.tensor(1 / (2 * a), dtype=torch.float64))
    exact = world.radius(2.0) - sigma * limit
    assert found.radius is not None
    assert (found.radius <= exact.clamp(min=0)).all()
    near = (exact > 0) & (exact < 0.3)
    assert (found.radius[near] > exact[near] - 0.03).all()
    assert torch.equal(found.proved, found.radius > 0.02)
    # At least what the paper's formula gives, with shares p and 1 - p.
    p = torch.special.ndtr(world.radius(2.0) / sigma)
    paper = sigma / 2 * (torch.special.ndtri(a * p) - torch.special.ndtri(1 - a * p))
    assert (exact.clamp(min=0) >= paper.clamp(min=0) - 1e-9).all()
    alone = Mixed(world.model, smoothed(world.model, sigma=sigma), 1.0, 1.0)
    whole = MixedMargin(samples=20_000)(alone, world.x, world.goal, L2(radius=0.02))
    assert whole.radius is not None
    assert (whole.radius <= world.radius(2.0)).all()
    half = Mixed(world.model, smoothed(world.model, sigma=sigma), 0.5, 0.5)
    assert not MixedMargin()(half, world.x, world.goal, L2(radius=0.0)).proved.any()


def test_lipschitz_radius_of_a_linear_softmax() -> None:
    """A row moved by its radius in any direction, against a free accurate part, keeps its class."""
    g = torch.Generator().manual_seed(1)
    w = torch.randn(3, 5, generator=g, dtype=torch.float64)
    x = 2 * torch.randn(200, 5, generator=g, dtype=torch.float64)
    shares, y = (x @ w.T).softmax(1), (x @ w.T).argmax(1)
    # |grad p_i| = p_i |w_i - sum_j p_j w_j| <= max_j |w_i - w_j| / 4
    lipschitz = (w[:, None] - w).norm(dim=2).amax(1) / 4
    last = torch.zeros(200, dtype=torch.float64)
    for a in (0.4, 0.5, 0.6, 0.8, 0.95, 1.0):
        radius = lipschitz_radius(shares, y, a, lipschitz)
        assert (radius >= last - 1e-12).all()
        assert a > 0.5 or not radius.any()
        for k in range(3):
            away = w[k] - w[y]
            moved = x + radius[:, None] * away / away.norm(dim=1, keepdim=True).clamp(min=1e-9)
            p = (moved @ w.T).softmax(1)
            lead = p.gather(1, y[:, None])[:, 0] - p.scatter(1, y[:, None], -1.0).amax(1)
            assert (lead >= (1 - a) / a - 1e-9)[radius > 0].all()
        last = radius
    assert last.max() > 0
    with pytest.raises(ConfigError):
        lipschitz_radius(shares, y, 0.8, 0 * lipschitz)


def test_refusals() -> None:
    world = three_class(rows=4)
    mixed = Mixing(weight=0.8)(world.model)
    with pytest.raises(Unsupported):
        MixedMargin()(world.model, world.x, world.goal, LInf())
    with pytest.raises(Unsupported):
        MixedMargin()(mixed, world.x, Targeted((world.y + 1) % 3), LInf())
    smooth = Mixing(robust=smoothed(world.model))(world.model)
    with pytest.raises(Unsupported):
        MixedMargin()(smooth, world.x, world.goal, LInf())
    assert not MixedMargin()(mixed, world.x, Untargeted((world.y + 1) % 3), LInf()).proved.any()
