"""Generators whose directions are known, and the worst of a grid by enumeration."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.objectives.natural import NaturalTransformations
from holdfast.ops.latent import PrincipalGenerator, directions, factors, invert, neutral
from holdfast.testing.laws.objective import losses_of

G = torch.Generator().manual_seed(0)
A = torch.randn(9, 3, generator=G, dtype=torch.float64)
CODES = torch.randn(5, 3, generator=G, dtype=torch.float64)


def linear(w):
    return w @ A.T


def same(a, b):
    """Equal up to signs of rows."""
    return torch.allclose(a.abs(), b.abs(), atol=1e-8)


def test_directions_of_a_linear_generator_are_right_singular_vectors():
    true = torch.linalg.svd(A)[2]
    assert same(factors(A, 3), true) and same(directions(linear, CODES, 3), true)
    values = torch.linalg.eigh(A.T @ A)[1].flip(1).T
    assert same(factors(A, 2), values[:2])


def test_inversion_recovers_codes():
    found = invert(linear, linear(CODES), CODES.new_zeros(5, 3), steps=600, rate=0.1)
    assert torch.allclose(found, CODES, atol=1e-4)
    held = invert(linear, linear(CODES), CODES.new_zeros(5, 3), steps=300, rate=0.1, shift=1e4)
    assert held.norm() < 0.1 * CODES.norm()
    blind = invert(linear, linear(CODES), torch.zeros(5, 3).double(), steps=600, rate=0.1,
                   features=lambda x: x[:, :4])  # fmt: skip
    assert torch.allclose(blind, CODES, atol=1e-3)


def test_principal_components_are_coded_and_decoded():
    x = linear(torch.randn(40, 3, generator=G, dtype=torch.float64)).reshape(40, 1, 3, 3)
    made = PrincipalGenerator.fit(x, 9)
    assert made.basis.shape == (9, 3)
    codes = made.encode(x)
    assert torch.allclose(made.decode(codes), x)
    assert torch.allclose(codes.std(0), torch.ones(3).double())


def world() -> tuple[nn.Sequential, Batch, PrincipalGenerator]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    x = 0.4 + 0.2 * torch.rand(6, 4, generator=G, dtype=torch.float64)
    return model, Batch(x, torch.arange(6) % 3, torch.arange(6)), PrincipalGenerator.fit(x, 2)


def test_without_a_move_it_is_the_reconstruction():
    model, batch, maker = world()
    for mode in ("random", "worst"):
        still = NaturalTransformations(generator=maker, mode=mode, magnitude=0.0)
        made = still.varied(model, batch.x, batch.y, Dice.of(6))
        assert torch.allclose(made, maker.decode(maker.encode(batch.x)).clamp(0, 1))


def test_the_worst_is_the_largest_loss_of_the_grid():
    model, batch, maker = world()
    model.train()
    method = NaturalTransformations(generator=maker, magnitude=0.6, grid=3)
    made = method.varied(model, batch.x, batch.y, Dice.of(6))
    assert model.training
    model.eval()
    codes, every = maker.encode(batch.x), []
    for way in torch.eye(2).double():
        for length in (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6):
            x = maker.decode(codes + length * way).clamp(0, 1)
            every.append(cross_entropy(model(x), batch.y, reduction="none"))
    found = cross_entropy(model(made), batch.y, reduction="none")
    assert torch.allclose(found, torch.stack(every).amax(0))


def test_the_loss_is_that_of_both():
    model, batch, maker = world()
    model.eval()
    method = NaturalTransformations(generator=maker, magnitude=0.0, weight=0.7)
    rebuilt = maker.decode(maker.encode(batch.x)).clamp(0, 1)
    plain, other = (cross_entropy(model(x), batch.y, reduction="none") for x in (batch.x, rebuilt))
    assert torch.allclose(losses_of(method, model, batch), plain + 0.7 * other)
    with pytest.raises(Unsupported):
        losses_of(NaturalTransformations(), model, batch)


def test_neutral_directions_leave_the_answer_alone():

    def classify(x):
        return (
            torch.linalg.lstsq(A, x.T).solution.T
            @ torch.tensor([[5.0, 0], [0, 0], [0, 0]]).double()
        )

    kept = neutral(linear, CODES, torch.eye(3).double(), classify, share=0.67)
    assert torch.equal(kept, torch.eye(3).double()[1:])
