"""Views and the way back, disagreement of equivariant maps, and moves that lower it."""

import torch
from torch import nn

from holdfast.defend.equivariance import (
    VIEWS,
    EquivarianceRestoration,
    View,
    disagreement,
)

G = torch.Generator().manual_seed(0)
X = torch.rand(6, 1, 9, 9, generator=G, dtype=torch.float64)


def body(symmetric: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layer = nn.Conv2d(1, 5, 3, padding=1).double()
    if symmetric:
        with torch.no_grad():
            layer.weight.add_(layer.weight.flip(-1))
    return nn.Sequential(layer, nn.ReLU())


def test_identity_and_symmetric_features_agree() -> None:
    assert disagreement(body(False), X, (View(),)).abs().max() < 1e-12
    mirror = (View(mirrored=True),)
    assert disagreement(body(True), X, mirror).abs().max() < 1e-12
    assert disagreement(body(False), X, mirror).min() > 1e-3


def test_the_way_back_is_exact_for_mirrors_and_near_for_others() -> None:
    back, known = View(mirrored=True).back(View(mirrored=True).of(X))
    assert torch.equal(back, X) and known.all()
    wide = nn.functional.interpolate(X, size=(36, 36), mode="bilinear")
    for view in VIEWS[1:]:
        back, known = view.back(view.of(wide))
        inside = known.expand_as(wide)
        assert 0.3 < known.double().mean() < 1
        assert (back - wide)[inside].abs().mean() < 0.05 < (view.of(wide) - wide).abs().mean() * 3


def test_a_turn_of_ninety_degrees_is_torchs() -> None:
    assert torch.allclose(View(degrees=90).of(X), X.rot90(1, (2, 3)), atol=1e-9)
    assert torch.allclose(View(degrees=-90).of(X), X.rot90(-1, (2, 3)), atol=1e-9)


def test_moves_lower_the_disagreement_within_the_ball() -> None:
    features = body(False)
    model = nn.Sequential(features, nn.Flatten(), nn.Linear(405, 3).double())
    how = EquivarianceRestoration(radius=0.1, steps=10, features=features)
    made = how(model)
    move = made.move(X)
    assert move.abs().max() <= 0.1 + 1e-12 and (X + move).min() >= 0 and (X + move).max() <= 1
    before, after = (disagreement(features, v, VIEWS) for v in (X, X + move))
    assert (after < before).all()
    assert torch.equal(made(X), model(X + move))
    for none in (EquivarianceRestoration(steps=0), EquivarianceRestoration(radius=0.0)):
        assert torch.equal(none(model)(X), model(X))
