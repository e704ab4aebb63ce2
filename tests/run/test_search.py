"""The judge: what it counts, what it refuses, what it believes."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from holdfast.attacks.pgd import PGD
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import AtLeast, Untargeted
from holdfast.core.kinds import Access, Attack
from holdfast.run.search import search
from holdfast.testing.worlds import Images, two_class
from holdfast.threats.norms import LInf


class Liar(Attack):
    """Returns what it is told to, whatever it sees."""

    access: ClassVar[Access] = Access.SCORE

    def __init__(self, answer, access=Access.SCORE):
        self.answer, self.access = answer, access

    def __call__(self, model, x, goal, threat, *, dice=None):
        return self.answer(model, x, goal, threat)


def run(answer, world, threat, access=Access.SCORE, **more):
    return search(Liar(answer, access), world.model, world.x, world.goal, threat, **more)


def test_what_leaves_the_threat_is_projected_before_it_is_believed():
    world, threat = two_class(), LInf(radius=0.01)
    rows, _ = world.ways()
    found = run(lambda m, x, g, t: 100 * rows[:, 0].sign()[: len(x)], world, threat)
    assert threat.size(world.x, found.change).max() <= 1 + 1e-5
    far = rows[:, 0].sign() * 0.01
    assert torch.allclose(found.change[found.margin > found.clean], far[found.margin > found.clean])


def test_a_change_that_helps_the_defender_is_dropped():
    world, threat = two_class(), LInf(radius=0.01)
    found = run(lambda m, x, g, t: -0.01 * world.ways()[0][:, 0].sign(), world, threat)
    assert torch.equal(found.margin, found.clean) and not found.change.any()


def test_nan_changes_count_as_no_change():
    world = two_class()
    found = run(lambda m, x, g, t: torch.full_like(x, torch.nan), world, LInf(radius=0.1))
    assert torch.equal(found.margin, found.clean) and found.finite.all()


def test_a_result_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match="Liar returned"):
        run(lambda m, x, g, t: x[:1], two_class(), LInf(radius=0.1))


def test_unsupported_goes_upward():
    def refuse(m, x, g, t):
        raise Unsupported("cannot")

    with pytest.raises(Unsupported):
        run(refuse, two_class(), LInf(radius=0.1))


def test_forwards_and_backwards_are_counted_in_rows():
    world = two_class(rows=10)
    seen = []

    def model(x):
        seen.append(len(x))
        return world.model(x)

    goal = AtLeast(torch.full((10,), 1e9, dtype=torch.float64))
    found = search(PGD(steps=7), model, world.x, goal, LInf(radius=0.1), chunk=4)
    assert found.passes.forwards == sum(seen) == 10 * (1 + 7 + 1 + 1)
    assert found.passes.backwards == 70


def test_rows_lost_without_a_change_are_not_attacked():
    world = two_class(rows=8)
    goal = Untargeted(torch.where(torch.arange(8) < 3, 1 - world.y, world.y))
    sizes = []
    found = search(
        Liar(lambda m, x, g, t: sizes.append(len(x)) or t.none(x)),
        world.model, world.x, goal, LInf(radius=0.1),
    )  # fmt: skip
    assert sizes == [5] and found.broken[:3].all() and not found.broken[3:].any()


def test_score_access_gives_no_gradient_and_decision_access_gives_one_hot():
    world, shown = two_class(), {}

    def look(name):
        def answer(m, x, g, t):
            shown[name] = m(x.clone().requires_grad_())
            shown[name + "margin"] = g(shown[name])
            return t.none(x)

        return answer

    found = run(look("score"), world, LInf(radius=0.1))
    assert not shown["score"].requires_grad
    run(look("decision"), world, LInf(radius=0.1), Access.DECISION)
    assert set(shown["decision"].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(shown["decisionmargin"] >= 0, found.clean >= 0)


def test_non_finite_outputs_are_reported_and_never_robust():
    world = two_class()

    def model(x):
        moved = (x - world.x[: len(x)]).abs().amax(1, keepdim=True) > 0
        return torch.where(moved, torch.nan, world.model(x))

    found = search(PGD(steps=2), model, world.x, world.goal, LInf(radius=0.001))
    assert found.broken.all() and not found.finite.any()
    clean = search(PGD(steps=2), lambda x: x * torch.inf, world.x, world.goal, LInf(radius=0.01))
    assert clean.broken.all() and not clean.finite.any()


def test_a_search_goes_on_from_an_earlier_one():
    world, threat = two_class(), LInf(radius=0.05)
    first = search(PGD(steps=1, start="none"), world.model, world.x, world.goal, threat)
    second = search(PGD(), world.model, world.x, world.goal, threat, since=first)
    left = int((~first.broken).sum())
    assert second.passes.forwards - first.passes.forwards == left * 42
    assert (second.margin >= first.margin).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_devices_and_empty_batches(dtype):
    world = Images.make()
    model, x = world.model.to(dtype), world.x.to(dtype)
    found = search(PGD(steps=3), model, x, world.goal, LInf(radius=0.1))
    assert found.change.dtype == found.margin.dtype == dtype
    none = torch.arange(0)
    empty = search(PGD(steps=3), model, x[none], world.goal.take(none), LInf(radius=0.1))
    assert empty.broken.shape == (0,)


def test_a_model_in_training_mode_is_left_as_it_was():
    world = Images.make()
    world.model.train()
    before = {k: v.clone() for k, v in world.model.state_dict().items()}
    search(PGD(steps=3), world.model, world.x, world.goal, LInf(radius=0.1))
    after = world.model.state_dict()
    assert world.model.training and all(torch.equal(before[k], after[k]) for k in before)


def test_unlabelled_rows_cannot_be_won():
    world = two_class(rows=4)
    goal = Untargeted(torch.full((4,), -100))
    found = search(PGD(steps=3), world.model, world.x, goal, LInf(radius=0.5))
    assert not found.broken.any() and found.passes.forwards == 4
