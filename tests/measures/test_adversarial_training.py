"""Concentration of losses, capacity and alignment where the truth is known; Danskin's theorem."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.measures.model.alignment import gradient_alignment
from holdfast.measures.model.capacity import capacity_sweep
from holdfast.measures.model.concentration import loss_concentration
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.run.training import TrainingRun
from holdfast.testing.worlds import Linear, TinyReLU, two_class
from holdfast.threats.norms import LInf

RADIUS = 0.05


def rows(world: Linear | TinyReLU) -> Batches:
    return Batches(x=world.x, y=world.y, size=7)


def test_all_starts_on_a_linear_model_end_with_the_closed_form():
    world = two_class(rows=12)
    found = loss_concentration(
        world.model, rows(world), threat=LInf(radius=RADIUS), attack=PGD(steps=40), restarts=5
    )
    true = F.softplus(world.worst(RADIUS, float("inf")))
    assert torch.allclose(found.losses, true[:, None].expand(12, 5), atol=1e-9)
    assert found.spread.max() < 1e-9 and (found.outlier - 1).abs().max() < 1e-9
    assert found.apart.max() < 1e-6  # one corner of the box
    idle = loss_concentration(
        world.model, rows(world), threat=LInf(radius=RADIUS),
        attack=PGD(steps=1, travel=1e-6), restarts=5,
    )  # fmt: skip
    assert idle.spread.min() > 1e-4 and idle.apart.min() > 0.3
    with pytest.raises(ConfigError):
        loss_concentration(world.model, rows(world), restarts=1)


def test_capacity_is_the_count_of_rows_that_hold():
    world = two_class(rows=40)
    flat = nn.Linear(8, 2).double()
    with torch.no_grad():
        flat.weight.zero_()
        flat.bias.copy_(torch.tensor([1.0, 0.0]))
    found = capacity_sweep([flat, world.model], rows(world), threat=LInf(radius=RADIUS))
    held = float((world.worst(RADIUS, float("inf")) < 0).double().mean())
    zero = float((world.y == 0).double().mean())
    assert [r.value for r in found.robust] == [zero, held]
    assert found.constant[0].value == 1 and found.constant[1].value == max(zero, 1 - zero)


def test_alignment_of_a_linear_model_is_a_cosine():
    world = two_class(rows=40)
    w = world.model.weight.detach()
    means = [world.x[world.y == c].mean(0) for c in (0, 1)]
    true = F.cosine_similarity(w[1] - w[0], means[1] - means[0], dim=0)
    found = gradient_alignment(world.model, rows(world))
    assert abs(found.value - float(true)) < 1e-9
    exact = nn.Linear(8, 2, bias=False).double()
    with torch.no_grad():
        exact.weight.copy_(torch.stack([means[0], means[1]]))
    assert abs(gradient_alignment(exact, rows(world)).value - 1) < 1e-9


def test_the_gradient_of_training_is_that_of_the_exact_inner_maximum():
    """Danskin: on a linear logistic model the worst loss is softplus(-(y f(x) - eps |w|_1))."""
    world = two_class(rows=10)
    model = world.model
    objective = AdversarialTraining(attack=PGD(steps=10, climb="soft"), threat=LInf(radius=RADIUS))
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(10), 1)
    objective(run, rows(world).whole).mean().backward()
    sign = 1.0 - 2 * world.y.double()

    def worst(weight, bias):
        w, b = weight[0] - weight[1], bias[0] - bias[1]
        return F.softplus(-(sign * (world.x @ w + b) - RADIUS * w.abs().sum())).mean()

    for parameter, slot in ((model.weight, 0), (model.bias, 1)):
        for place in torch.cartesian_prod(*map(torch.arange, parameter.shape)).view(
            -1, parameter.dim()
        ):
            at = tuple(place.tolist())
            values = []
            for side in (1e-6, -1e-6):
                moved = [model.weight.detach().clone(), model.bias.detach().clone()]
                moved[slot][at] += side
                values.append(worst(*moved))
            slope = (values[0] - values[1]) / 2e-6
            assert abs(float(slope - parameter.grad[at])) < 1e-5
