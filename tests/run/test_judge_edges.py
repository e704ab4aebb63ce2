"""The judge and the bracket at their edges: lies, ties, NaN, odd shapes, exact counts."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.certify.linear.crown import CROWN
from holdfast.core.catalog import entries, resolve
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import Contradiction, ShapeError, Unsupported
from holdfast.core.goal import AtLeast, Targeted, Untargeted
from holdfast.core.kinds import Access, Attack, Certifier
from holdfast.run.bracket import bracket
from holdfast.run.search import search
from holdfast.testing.conform import subject_of
from holdfast.testing.laws.attack import brief
from holdfast.testing.worlds import Images, Noise, TinyReLU, three_class, two_class
from holdfast.threats.norms import L2, LInf

ATTACKS = [e.key for e in entries("attack")]


class Answers(Attack):
    access: ClassVar[Access] = Access.SCORE

    def __init__(self, answer) -> None:
        self.answer = answer

    def __call__(self, model, x, goal, threat, *, dice=None):
        return self.answer(model, x, threat)


class Counter(nn.Module):
    """Counts rows and gradients on its own, below everything the harness does."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.forwards, self.backwards = inner, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        out = self.inner(x)
        if out.requires_grad:
            out.register_hook(lambda g: self._back(len(g)))
        return out

    def _back(self, count: int) -> None:
        self.backwards += count


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("threat", ["threat:linf", "threat:l2", "threat:rotation"])
def test_every_attack_is_counted_exactly(name: str, threat: str) -> None:
    world = Images.make(rows=5)
    model = Counter(world.model)
    ball = resolve(threat).scaled(0.3)
    try:
        found = search(brief(resolve(name)), model, world.x, world.goal, ball, chunk=3)
    except Unsupported:
        return
    assert found.passes.forwards == model.forwards > 0
    assert found.passes.backwards == model.backwards


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("classes", [2, 3])
def test_rows_already_wrong_cost_one_pass_and_stay_wrong(name: str, classes: int) -> None:
    world = (two_class if classes == 2 else three_class)(rows=6)
    wrong = Untargeted((world.y + 1) % classes)
    model = Counter(world.model)
    try:
        found = search(brief(resolve(name)), model, world.x, wrong, LInf(radius=0.1))
    except Unsupported:
        return
    assert found.broken.all() and not found.change.any() and model.forwards == 6


@pytest.mark.parametrize("name", ATTACKS)
def test_a_tie_is_broken_without_any_change(name: str) -> None:
    model, x = nn.Linear(4, 3).double(), torch.rand(3, 4).double()
    with torch.no_grad():
        model.weight.zero_(), model.bias.zero_()
    goal = Untargeted(torch.tensor([0, 1, 2]))
    found = search(brief(resolve(name)), model, x, goal, LInf(radius=0.1))
    assert (found.margin == 0).all() and found.broken.all() and not found.change.any()


@pytest.mark.parametrize("name", ATTACKS)
def test_nan_anywhere_is_never_robust(name: str) -> None:
    world = two_class(rows=6)

    def model(x: Tensor) -> Tensor:
        out = world.model(x)
        return torch.where(torch.arange(len(x))[:, None] % 2 == 0, torch.nan, 1.0) * out

    try:
        found = search(brief(resolve(name)), model, world.x, world.goal, LInf(radius=1e-9))
    except Unsupported:
        return
    assert found.broken[::2].all() and not found.finite[::2].any()
    assert (found.margin[::2] == torch.inf).all()


@pytest.mark.parametrize("answer", [
    lambda m, x, t: t.none(x)[:-1], lambda m, x, t: t.none(x)[:, :-1], lambda m, x, t: None,
    lambda m, x, t: t.none(x)[None], lambda m, x, t: float("nan"), lambda m, x, t: (t.none(x),),
    lambda m, x, t: t.none(x).sum(), lambda m, x, t: t.none(x) + 1j,
])  # fmt: skip
def test_what_is_no_change_is_refused(answer) -> None:
    world = two_class(rows=4)
    with pytest.raises(ShapeError, match="Answers returned"):
        search(Answers(answer), world.model, world.x, world.goal, LInf(radius=0.1))


@pytest.mark.parametrize("answer", [
    lambda m, x, t: torch.full_like(x, torch.inf), lambda m, x, t: torch.full_like(x, 1e300),
    lambda m, x, t: torch.ones_like(x).long(), lambda m, x, t: torch.ones_like(x).float() * 7,
    lambda m, x, t: torch.ones_like(x).bool(), lambda m, x, t: torch.ones(len(x), 1).expand_as(x),
    lambda m, x, t: x.zero_().fill_(5.0),
])  # fmt: skip
@pytest.mark.parametrize("ball", [LInf(radius=0.01), L2(radius=0.02)])
def test_whatever_is_handed_back_ends_inside_the_threat(answer, ball) -> None:
    world = two_class(rows=4)
    kept = world.x.clone()
    found = search(Answers(answer), world.model, world.x, world.goal, ball)
    assert (ball.size(world.x, found.change) <= 1 + 1e-5).all()
    assert found.change.dtype == world.x.dtype and torch.equal(world.x, kept)
    assert (found.margin >= found.clean).all()


def test_a_noisy_model_is_judged_by_what_the_judge_saw() -> None:
    """Equal dice, equal results: the global random state is the same in every search."""
    world = two_class(rows=8)
    model = Noise(world.model, 0.3)
    torch.manual_seed(3)
    found = [search(PGD(steps=3), model, world.x, world.goal, LInf(radius=0.05)) for _ in range(2)]
    assert torch.equal(found[0].margin, found[1].margin)
    assert (found[0].margin >= found[0].clean).all()


def test_one_class_is_refused_and_a_single_output_has_its_own_goal() -> None:
    model, x = nn.Linear(4, 1).double(), torch.rand(3, 4).double()
    with pytest.raises(ShapeError, match="cannot be wrong"):
        search(PGD(), model, x, Untargeted(torch.zeros(3).long()), LInf(radius=0.1))
    with torch.no_grad():
        level = model(x)[:, 0] + 0.1 * model.weight.abs().sum() * 0.9
    found = search(
        PGD(), model, x.clamp(0.2, 0.8), AtLeast(level), LInf(radius=0.1, low=-1, high=2)
    )
    assert found.margin.shape == (3,)


def test_two_classes_targeted_and_untargeted_agree() -> None:
    world = two_class(rows=10)
    one = search(PGD(), world.model, world.x, world.goal, LInf(radius=0.03))
    other = search(PGD(), world.model, world.x, Targeted(1 - world.y), LInf(radius=0.03))
    assert torch.equal(one.broken, other.broken)


def test_dice_of_other_rows_and_labels_of_other_rows_are_refused() -> None:
    world = two_class(rows=4)
    with pytest.raises(ShapeError):
        search(PGD(), world.model, world.x, world.goal, LInf(), dice=Dice.of(3))
    with pytest.raises(ShapeError):
        search(PGD(), world.model, world.x, world.goal.take(slice(0, 3)), LInf())


class Optimist(Certifier):
    """CROWN that certifies two thirds of the radius and claims all of it."""

    def __call__(self, model, x, goal, threat, *, dice=None):
        said = CROWN()(model, x, goal, threat.scaled(1 / 1.5))
        return Certificate(model, threat, said.margin)


@pytest.mark.parametrize("name", ["attack:pgd", "attack:square", "attack:apgd-dlr"])
def test_a_real_certifier_with_one_and_a_half_times_the_radius_is_caught(name: str) -> None:
    world = TinyReLU.make(rows=60, seed=1)
    radius = 0.12
    broken = (world.worst(radius) >= 0) & (world.worst(radius / 1.5) < 0)
    assert int(broken.sum()) >= 3
    with pytest.raises(Contradiction) as caught:
        bracket(
            world.model, world.x, world.goal, LInf(radius=radius),
            attacks=[name], certifiers=[Optimist()],
        )  # fmt: skip
    attack, claim = caught.value.witnesses["attack"], caught.value.witnesses["certificate"]
    assert (attack["margin"] >= 0).all() and (claim["margin"] < 0).all()
    moved = (attack["x"] + attack["change"]).clamp(0, 1)
    with torch.no_grad():
        again = world.goal.take(attack["rows"])(world.model(moved))
    assert torch.allclose(again, attack["margin"], atol=1e-9)
    honest = bracket(
        world.model, world.x, world.goal, LInf(radius=radius),
        attacks=[name], certifiers=["certifier:crown"],
    )  # fmt: skip
    assert not (honest.certified & (world.worst(radius) >= 0)).any()


@pytest.mark.parametrize("shape", [(1,), (6, 1), ()])
def test_certificates_of_another_shape_are_refused(shape) -> None:
    class Odd(Certifier):
        def __call__(self, model, x, goal, threat, *, dice=None):
            return Certificate(model, threat, torch.full(shape, -1.0))

    world = two_class(rows=6)
    with pytest.raises(ShapeError, match="Odd returned margins"):
        bracket(
            world.model, world.x, world.goal, LInf(radius=0.01), attacks=[PGD(steps=1)],
            certifiers=[Odd()],
        )  # fmt: skip


@pytest.mark.parametrize("bound", [float("nan"), -float("inf"), float("inf")])
def test_bounds_that_are_not_finite_certify_nothing(bound: float) -> None:
    class Broken(Certifier):
        def __call__(self, model, x, goal, threat, *, dice=None):
            return Certificate(model, threat, torch.full((len(x),), bound))

    world = two_class(rows=6)
    found = bracket(
        world.model, world.x, world.goal, LInf(radius=0.5), attacks=[PGD()], certifiers=[Broken()]
    )
    assert not found.certified.any()


def test_every_entry_can_be_briefed() -> None:
    assert all(isinstance(brief(subject_of(e)), Attack) for e in entries("attack"))
