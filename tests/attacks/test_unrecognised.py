"""Distances to hulls against scipy and projectors; the goal against retrieval by hand."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import minimize

from holdfast.attacks.universal import SGA
from holdfast.attacks.unrecognised import Unrecognised
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError
from holdfast.measures.outputs.protection import protection_rate
from holdfast.ops.hulls import affine_hull, to_affine, to_convex
from holdfast.threats.norms import LInf

G = torch.Generator().manual_seed(0)
POINTS = torch.randn(6, 5, generator=G, dtype=torch.float64)
ROWS = torch.randn(4, 5, generator=G, dtype=torch.float64)


def test_the_projector_is_idempotent_and_symmetric():
    mean, basis = affine_hull(POINTS, 3)
    p = basis @ basis.T
    assert basis.shape == (5, 3)
    assert torch.allclose(p @ p, p) and torch.allclose(p, p.T)
    assert torch.allclose(to_affine(mean[None], mean, basis), torch.zeros(1).double())
    full, every = affine_hull(POINTS[:3], 9)  # three points span a plane
    assert every.shape == (5, 2)
    assert torch.allclose(to_affine(POINTS[:3], full, every), torch.zeros(3).double(), atol=1e-12)


def test_the_affine_distance_is_that_of_least_squares():
    mean, basis = affine_hull(POINTS, 2)
    best = torch.linalg.lstsq(basis, (ROWS - mean).T).solution
    true = (ROWS - mean - (basis @ best).T).square().sum(1)
    assert torch.allclose(to_affine(ROWS, mean, basis), true)


def test_the_convex_distance_is_that_of_a_quadratic_programme():
    found = to_convex(ROWS, POINTS, rounds=2000)
    for row, value in zip(ROWS, found, strict=True):

        def far(a, row=row):
            return float((row - torch.tensor(a) @ POINTS).square().sum())

        true = minimize(
            far, [1 / 6] * 6, bounds=[(0, 1)] * 6, method="SLSQP", tol=1e-12,
            constraints={"type": "eq", "fun": lambda a: sum(a) - 1},
        ).fun  # fmt: skip
        assert true - 1e-6 <= float(value) <= true + 1e-2
    inside = POINTS.mean(0, keepdim=True)
    assert float(to_convex(inside, POINTS, rounds=2000)) < 1e-3


@pytest.mark.parametrize("hull", ["centre", "affine", "convex"])
def test_the_goal_is_retrieval(hull):
    owner, person = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 1, 2, 0])
    goal = Unrecognised(POINTS, owner, person, hull=hull, rank=1)
    margin = goal(ROWS)
    f, known = (torch.nn.functional.normalize(t, dim=1) for t in (ROWS, POINTS))
    nearest = owner[(f @ known.T).argmax(1)]
    assert torch.equal(margin > 0, nearest != person)
    assert torch.allclose(goal.take(torch.tensor([2, 0]))(ROWS[[2, 0]]), margin[[2, 0]])
    rate = protection_rate(ROWS, person, gallery=POINTS, owners=owner)
    assert rate.value == float((nearest != person).double().mean())
    all_of_them = protection_rate(ROWS, person, gallery=POINTS, owners=owner, top=6)
    assert all_of_them.value == 0
    height = goal.soft(ROWS.clone().requires_grad_())
    assert height.requires_grad and (height > 0).all()


def test_a_gallery_without_the_person_is_refused():
    with pytest.raises(ShapeError, match="no image of 7"):
        Unrecognised(POINTS, torch.arange(6), torch.tensor([7]))


def test_whole_batches_and_one_gradient_agree_and_no_radius_means_no_protection():
    weight = torch.randn(5, 9, generator=G, dtype=torch.float64)
    x = torch.rand(8, 9, generator=G, dtype=torch.float64)

    def embed(x):
        return x @ weight.T

    owner = torch.arange(8) // 4
    goal = Unrecognised(embed(x), owner, torch.zeros(4, dtype=torch.int64))
    data = Batches(x=x[:4], y=owner[:4])
    whole = SGA(epochs=3, batch=4, minibatch=4, inner=1).fit(embed, data, goal, LInf(radius=0.2))
    batch = SGA(epochs=3, batch=99, minibatch=99, inner=1).fit(embed, data, goal, LInf(radius=0.2))
    assert torch.equal(whole.change, batch.change) and whole.change.any()
    before = goal.soft(embed(x[:4])).mean()
    assert goal.soft(embed((x[:4] + whole.change).clamp(0, 1))).mean() > before
    none = SGA(epochs=3).fit(embed, data, goal, LInf(radius=0.0))
    assert not none.change.any()
