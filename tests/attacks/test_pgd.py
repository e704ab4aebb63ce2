"""PGD and its presets against closed forms, enumeration and two well-kept libraries."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.pgd import BIM, FGSM, PGD, R_FGSM, RS_FGSM, least_likely
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Targeted, Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import Images, TinyReLU, two_class
from holdfast.threats.norms import L1, L2, LInf

INF = float("inf")
NORMS = [(LInf, INF, 0.02), (L2, 2, 0.05), (L1, 1, 0.1)]


@pytest.mark.parametrize(("threat", "order", "radius"), NORMS)
@pytest.mark.parametrize("attack", [PGD(), PGD(momentum=0.9), PGD(schedule="cosine"), BIM, FGSM])
def test_linear_worlds_have_a_closed_form(threat, order, radius, attack):
    world = two_class(rows=32)
    found = search(attack, world.model, world.x, world.goal, threat(radius=radius))
    truth, left = world.worst(radius, order), ~found.broken
    assert left.any()
    slack = 0.06 * (truth - world.margin()) if order == 2 else 1e-9
    assert ((truth - found.margin)[left] <= (slack[left] if order == 2 else slack)).all()
    assert (found.margin <= truth + 1e-9).all()


def test_restarts_reach_the_enumerated_maximum_of_a_small_net():
    world = TinyReLU.make(rows=12)
    truth = world.worst(0.08)
    attack = PGD(restarts=20, climb="margin", schedule="cosine")
    found = search(attack, world.model, world.x, world.goal, LInf(radius=0.08))
    assert torch.equal(found.broken, truth >= 0)
    gap = (truth - found.margin)[~found.broken]
    # Steps along signs can stall on a ridge that runs across both axes: few rows, little lost.
    assert len(gap) >= 4 and gap.median() < 1e-3 and gap.max() < 0.05
    assert (found.margin <= truth + 1e-9).all()


def test_one_step_equals_two_libraries(net):
    import foolbox
    import torchattacks

    model, x, y = net
    eps = 0.01
    ours = LInf(radius=eps).apply(x, FGSM(model, x, Untargeted(y), LInf(radius=eps)))
    theirs = torchattacks.FGSM(model, eps=eps)(x, y)
    box = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    other = foolbox.attacks.LinfFastGradientAttack(random_start=False)(box, x, y, epsilons=eps)[1]
    assert (ours - theirs).abs().max() < 1e-5 and (ours - other).abs().max() < 1e-5


def test_many_steps_break_what_two_libraries_break(net):
    import foolbox
    import torchattacks

    model, x, y = net
    eps = 0.02
    attack = PGD(steps=10, travel=2.5, start="none", climb="soft")
    found = search(attack, model, x, Untargeted(y), LInf(radius=eps))
    theirs = torchattacks.PGD(model, eps=eps, alpha=eps / 4, steps=10, random_start=False)(x, y)
    box = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    runner = foolbox.attacks.LinfProjectedGradientDescentAttack(
        abs_stepsize=eps / 4, steps=10, random_start=False
    )
    other = runner(box, x, y, epsilons=eps)[1]
    goal = Untargeted(y)
    last = goal(model(theirs))
    left = (last < 0) & ~found.broken
    assert left.any() and (last >= 0).any()
    assert torch.equal(found.broken | (last >= 0), found.broken)
    assert (found.margin >= last - 1e-5)[left].all()
    assert (found.margin >= goal(model(other)) - 1e-5)[left].all()
    mine = x + found.change
    same = ((mine - theirs).abs().flatten(1).amax(1) < 1e-5)[left]
    assert same.float().mean() > 0.5  # ours keeps the best point, theirs the last


def test_soft_does_not_underflow_where_the_cross_entropy_does(net):
    model, x, y = net

    def loud(z):
        return 1000 * model(z)

    def robust(climb, f):
        found = search(PGD(climb=climb, steps=10), f, x, Untargeted(y), LInf(radius=0.05))
        return int((~found.broken).sum())

    loss = torch.nn.functional.cross_entropy
    moved = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(loud(moved), y, reduction="sum"), moved)
    assert (gradient.flatten(1).abs().amax(1) < 1e-6).float().mean() > 0.5
    assert abs(robust("soft", loud) - robust("margin", model)) <= 1


def test_more_steps_larger_radii_and_restarts_never_hurt_much():
    world = Images.make(rows=24)

    def broken(radius, **more):
        found = search(PGD(**more), world.model, world.x, world.goal, LInf(radius=radius))
        return int(found.broken.sum())

    radii = [0.0, 0.02, 0.05, 0.1, 0.3]
    counts = [broken(r, steps=20) for r in radii]
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] > 0
    assert broken(0.1, steps=5, restarts=3) >= broken(0.1, steps=5)


def test_targets_are_reached():
    world = Images.make(rows=8)
    goal = Targeted((world.y + 1) % 5)
    found = search(PGD(), world.model, world.x, goal, LInf(radius=0.5))
    assert found.broken.any()
    reached = world.model(world.x + found.change).argmax(1)
    assert torch.equal(reached[found.broken], goal.target[found.broken])


def test_a_model_without_gradient_is_refused():
    world = two_class()
    with pytest.raises(Unsupported, match="no gradient"):
        PGD()(lambda x: world.model(x).detach(), world.x, world.goal, LInf(radius=0.1))


def test_passes_of_rows_that_are_never_broken():
    world = two_class(rows=6)
    found = search(PGD(steps=5, restarts=2), world.model, world.x, world.goal, LInf(radius=1e-6))
    assert found.passes.forwards == 6 * (1 + 2 * 6 + 1) and found.passes.backwards == 6 * 10


@pytest.mark.parametrize("climb", ["soft", "margin", "mixed"])
def test_it_is_the_loop_of_the_paper_from_the_same_start(net, climb):
    """Sign steps of 2.5 radii / steps, clamped to ball and box; the best point counts."""
    model, x, y = net
    eps, steps, goal = 0.02, 10, Untargeted(y)
    threat, dice = LInf(radius=eps), Dice.of(len(x), seed=3)
    moved, best = x + threat.sample(x, dice), torch.full((len(x),), -INF)
    for step in range(steps + 1):
        moved = moved.detach().requires_grad_()
        z = model(moved)
        margin = goal(z)
        best = torch.maximum(best, margin.detach())
        first = climb == "soft" or (climb == "mixed" and step < steps // 2)
        height = torch.nn.functional.cross_entropy(z, y, reduction="sum") if first else margin.sum()
        (gradient,) = torch.autograd.grad(height, moved)
        ahead = moved + 2.5 * eps / steps * gradient.sign()
        moved = torch.minimum(torch.maximum(ahead, x - eps), x + eps).clamp(0, 1)
    found = search(
        PGD(steps=steps, climb=climb), model, x, goal, threat, dice=Dice.of(len(x), seed=3)
    )
    assert torch.equal(found.broken, best >= 0)
    left = ~found.broken
    assert left.any() and torch.allclose(found.margin[left], best[left], atol=1e-5)


def test_one_step_of_the_default_climbs_the_loss_of_the_paper(net):
    model, x, y = net
    threat, goal = LInf(radius=0.02), Untargeted(y)
    ours = PGD(steps=1, travel=1.0, start="none")(model, x, goal, threat)
    assert torch.equal(ours, FGSM(model, x, goal, threat))


def slope_at(model, point, y):
    moved = point.detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(model(moved), y, reduction="sum")
    return torch.autograd.grad(loss, moved)[0]


def test_random_starts_of_one_step_are_the_published_formulas(net):
    model, x, y = net
    eps = 0.02
    goal, threat = Untargeted(y), LInf(radius=eps)
    noise = Dice.of(len(x), seed=4).normal(x.shape[1:]).sign()
    start = (x + eps / 2 * noise).clamp(0, 1)
    theirs = (start + eps / 2 * slope_at(model, start, y).sign()).clamp(0, 1)
    ours = x + R_FGSM(model, x, goal, threat, dice=Dice.of(len(x), seed=4))
    better = goal(model(start)) > goal(model(theirs))  # ours keeps the better of the two
    assert torch.allclose(ours, torch.where(better[:, None, None, None], start, theirs), atol=1e-6)
    start = x + threat.sample(x, Dice.of(len(x), seed=4))
    far = start + 1.25 * eps * slope_at(model, start, y).sign()
    theirs = torch.minimum(torch.maximum(far, x - eps), x + eps).clamp(0, 1)
    ours = x + RS_FGSM(model, x, goal, threat, dice=Dice.of(len(x), seed=4))
    better = goal(model(start)) > goal(model(theirs))
    assert torch.allclose(ours, torch.where(better[:, None, None, None], start, theirs), atol=1e-6)


def test_one_step_towards_the_least_likely_class(net):
    model, x, _ = net
    goal = least_likely(model, x)
    assert torch.equal(goal.target, model(x).argmin(1))
    ours = x + FGSM(model, x, goal, LInf(radius=0.02))
    theirs = (x - 0.02 * slope_at(model, x, goal.target).sign()).clamp(0, 1)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_several_samples_follow_the_mean_slope_of_a_model_that_draws():
    world, threat = two_class(rows=6), LInf(radius=0.01)
    turns = []

    def draws(z):  # its weights change from pass to pass; their mean is the world's
        turns.append(3.0 if len(turns) % 2 else -1.0)
        return turns[-1] * world.model(z)

    one = PGD(steps=1, travel=1.0, start="none", climb="margin", samples=2)
    plain = PGD(steps=1, travel=1.0, start="none", climb="margin")
    wanted = plain(world.model, world.x, world.goal, threat)
    assert torch.equal(one(draws, world.x, world.goal, threat), wanted)
    assert len(turns) == 3
