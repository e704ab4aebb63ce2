"""One change for all rows: the look-ahead against its own definition, and its limits."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from holdfast.attacks.replay import Replay
from holdfast.attacks.universal import CLOAK, SGA, SPGD, own_answers
from holdfast.core.catalog import find
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.measures.model.fooling import fooling_ratio
from holdfast.run.search import search
from holdfast.testing.worlds import Images
from holdfast.threats.norms import L2, LInf
from holdfast.threats.shared import Shared

EPS = 0.1


@pytest.fixture(scope="module")
def world():
    return Images.make(rows=24)


def rows(world, y=None):
    return Batches(x=world.x, y=world.y if y is None else y, size=7)


def naive(world, *, epochs, stride, ceiling, climb="soft"):
    """The method by its formula, where a small batch is all rows, seen twice per step."""
    d = torch.zeros_like(world.x[:1])
    for _ in range(epochs):
        ahead, total = d, torch.zeros_like(d)
        for _ in range(2):
            v = ahead.clone().requires_grad_()
            x = (world.x + v).clamp(0, 1).detach() + v - v.detach()
            z = world.model(x)
            loss = cross_entropy(z, world.y, reduction="none").clamp(max=ceiling).mean()
            loss = -z.gather(1, world.y[:, None]).mean() if climb == "own" else loss
            (g,) = torch.autograd.grad(loss, v)
            total = total + g
            ahead = (ahead + stride * EPS * g.sign()).clamp(-EPS, EPS)
        d = (d + stride * EPS * total.sign()).clamp(-EPS, EPS)
    return d


@pytest.mark.parametrize("climb", ["soft", "own"])
def test_it_is_the_formula(world, climb):
    attack = SGA(epochs=5, batch=24, minibatch=24, inner=2, stride=0.3, ceiling=5.0, climb=climb)
    found = attack.fit(world.model, rows(world), world.goal, LInf(radius=EPS)).change
    true = naive(world, epochs=5, stride=0.3, ceiling=5.0, climb=climb)
    assert torch.allclose(found, true, atol=1e-9)
    other = naive(world, epochs=5, stride=0.3, ceiling=5.0, climb="own" if climb == "soft" else "")
    assert not torch.allclose(found, other, atol=1e-9)


def test_a_row_alone_lowers_its_own_logit_too(world):
    threat = LInf(radius=EPS)
    few = SGA(epochs=1, inner=1, climb="own", stride=0.5)
    change = few(world.model, world.x, world.goal, threat)
    with torch.no_grad():
        before, after = (world.model(v).gather(1, world.y[:, None]) for v in
                         (world.x, threat.apply(world.x, change)))  # fmt: skip
    safe = world.goal(world.model(world.x)) < 0
    assert (after < before)[safe].all()


def test_with_one_gradient_per_step_it_is_signed_batch_steps(world):
    """J = 1 and equal sizes: one sign step per batch, in the order that the dice draw."""
    attack = SGA(epochs=3, batch=8, minibatch=8, inner=1, stride=0.2)
    dice = Dice.of(24, seed=3)
    found = attack.fit(world.model, rows(world), None, LInf(radius=EPS), dice=dice).change
    d = torch.zeros_like(world.x[:1])
    for epoch in range(3):
        order = torch.randperm(24, generator=dice.generator(f"epoch{epoch}"))
        for part in order.split(8):
            v = d.clone().requires_grad_()
            x = (world.x[part] + v).clamp(0, 1).detach() + v - v.detach()
            loss = cross_entropy(world.model(x), world.y[part], reduction="none").clamp(max=9.0)
            (g,) = torch.autograd.grad(loss.mean(), v)
            d = (d + 0.2 * EPS * g.sign()).clamp(-EPS, EPS)
    assert torch.allclose(found, d, atol=1e-9)
    assert SPGD.inner == 1 and SPGD.batch == SPGD.minibatch
    assert find("attack:cloak").thing is CLOAK and CLOAK.minibatch == 4


@pytest.mark.parametrize("threat", [LInf(radius=EPS), L2(radius=0.5)])
def test_true_labels_play_no_part_and_the_change_stays_inside(world, threat):
    attack = SGA(epochs=2, batch=12, minibatch=4, inner=2)
    one = attack.fit(world.model, rows(world), None, threat)
    two = attack.fit(world.model, rows(world, (world.y + 1) % 5), None, threat)
    assert torch.equal(one.change, two.change)
    assert float(Shared(threat=threat).size(world.x[:1], one.change)) <= 1 + 1e-6
    assert len(one.course.length) == 4 and (one.course.agreement.abs() <= 1).all()


def test_rows_above_the_ceiling_pull_no_more(world):
    attack = SGA(epochs=2, batch=12, minibatch=4, inner=1, ceiling=1e-12)
    found = attack.fit(world.model, rows(world), None, LInf(radius=EPS))
    assert not found.change.any() and (found.course.silent == 1).all()


def test_momentum_keeps_directions(world):
    plain, kept = (
        SGA(epochs=4, batch=24, minibatch=6, inner=1, momentum=m).fit(
            world.model, rows(world), None, L2(radius=0.5)
        )
        for m in (0.0, 0.9)
    )
    assert not torch.equal(plain.change, kept.change)


def test_the_shared_change_is_the_fitted_one(world):
    attack, threat = SGA(epochs=2, batch=12, minibatch=4), Shared(threat=LInf(radius=EPS))
    dice = Dice.of(24, seed=1)
    found = search(attack, world.model, world.x, world.goal, threat, dice=dice)
    fitted = attack.fit(world.model, rows(world), None, threat, dice=Dice.of(24, seed=1))
    assert torch.equal(found.change[:1], fitted.change)
    replayed = search(fitted, world.model, world.x[:5], world.goal.take(slice(0, 5)), threat)
    assert torch.equal(replayed.change[0], found.change[0])
    assert replayed.passes.backwards == 0


def test_a_replay_refuses_other_shapes(world):
    other = Images.make(rows=2, side=8)
    with pytest.raises(ShapeError):
        Replay(world.x[:1] * 0)(other.model, other.x, other.goal, LInf(radius=EPS))


def test_own_answers_are_the_models(world):
    goal = own_answers(world.model, rows(world))
    assert isinstance(goal, Untargeted) and torch.equal(goal.y, world.y)


def test_fooling_counts_answers_that_change(world):
    data = rows(world, (world.y + 1) % 5)  # every label is wrong
    none = fooling_ratio(world.model, data, threat=Shared(threat=LInf(radius=0.0)))
    much = fooling_ratio(world.model, data, threat=Shared(threat=LInf(radius=0.5)))
    assert none.value == 0 and none.n == 12 and much.value > 0.3
    with pytest.raises(Unsupported):
        fooling_ratio(world.model, data, attack="attack:pgd")
