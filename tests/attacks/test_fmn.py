"""FMN and DDN against foolbox, and what a near start saves."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.ddn import DDN
from holdfast.attacks.deepfool import DeepFool
from holdfast.attacks.fmn import FMN, NEAREST
from holdfast.core.catalog import with_settings
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import Images, two_class
from holdfast.threats.norms import L2, LInf
from holdfast.threats.sparse import L0


def lengths(attack, net, threat):
    model, x, y = net[0], net[1][:12], net[2][:12]
    change = with_settings(attack, smallest=True)(model, x, Untargeted(y), threat)
    assert (Untargeted(y)(model(x + change)) >= 0).all()
    return threat.length(change)


def foolboxed(runner, net, threat):
    import foolbox

    model, x, y = net[0], net[1][:12], net[2][:12]
    box = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    return threat.length(runner(box, x, y, epsilons=None)[1] - x)


def test_ddn_is_that_of_foolbox(net):
    import foolbox

    mine, theirs = (
        lengths(DDN(), net, L2(radius=1.0)),
        foolboxed(foolbox.attacks.DDNAttack(steps=100), net, L2(radius=1.0)),
    )
    assert torch.allclose(mine, theirs, rtol=0.02)


def test_fmn_is_no_longer_than_that_of_foolbox(net):
    import foolbox

    for threat, kind, room in (
        (LInf(radius=0.1), foolbox.attacks.LInfFMNAttack, 1.01),
        (L2(radius=1.0), foolbox.attacks.L2FMNAttack, 1.01),
        (L0(radius=5.0), foolbox.attacks.L0FMNAttack, 1.1),
    ):
        mine, theirs = lengths(FMN(), net, threat), foolboxed(kind(steps=100), net, threat)
        assert float(mine.mean()) <= room * float(theirs.mean())


def test_a_start_at_the_nearest_boundary_is_shorter_in_fewer_steps(net):
    for threat in (LInf(radius=0.1), L2(radius=1.0)):
        near = lengths(NEAREST, net, threat)
        assert float(near.mean()) <= float(lengths(FMN(), net, threat).mean()) * 1.001


def test_rows_that_the_start_decides_are_not_looked_at_again():
    """The start hands on what it has seen: the clean point is looked at once for both."""
    world = two_class(rows=10)
    threat = L2(radius=4.0)
    alone = search(DeepFool(), world.model, world.x, world.goal, threat)
    both = search(NEAREST, world.model, world.x, world.goal, threat)
    assert alone.broken.all() and both.passes == alone.passes
    assert torch.equal(both.change, alone.change)


def test_only_a_minimum_norm_attack_can_be_the_start():
    world = two_class(rows=2)
    with pytest.raises(ConfigError, match="no minimum-norm attack"):
        FMN(start="attack:pgd")(world.model, world.x, world.goal, L2(radius=0.1))
    with pytest.raises(Unsupported, match="DeepFool cannot shrink"):
        NEAREST(world.model, world.x, world.goal, L0(radius=2))


def test_lengths_do_not_depend_on_the_unit_of_inputs():
    """In a box ten times as wide every length is ten times as long."""
    world = Images.make()
    wide, ten = Images.make().x * 10, lambda x: world.model(x / 10)
    for one, two in (
        (LInf(radius=1.0), LInf(radius=1.0, high=10.0)), (L2(radius=1.0), L2(radius=1.0, high=10.0))
    ):  # fmt: skip
        for attack in (FMN(smallest=True, steps=20), DDN(smallest=True, steps=20)):
            if isinstance(attack, DDN) and one.order != 2:
                continue
            small = attack(world.model, world.x, world.goal, one)
            large = attack(ten, wide, world.goal, two)
            assert torch.allclose(10 * one.length(small), two.length(large), rtol=1e-4)


def test_rounded_changes_lie_on_the_grid():
    world = Images.make()
    x = (world.x * 255).round() / 255
    goal = Untargeted(world.model(x).argmax(1))
    change = DDN(levels=255, smallest=True)(world.model, x, goal, L2(radius=1.0))
    levels = (x + change) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-6)
    assert (goal(world.model(x + change)) >= 0).double().mean() >= 0.8


@pytest.mark.parametrize("threat", [LInf(radius=1.0), L2(radius=1.0)])
def test_more_steps_find_no_longer_changes_on_average(threat):
    world = Images.make(rows=16)
    few, many = (
        threat.length(FMN(steps=s, smallest=True)(world.model, world.x, world.goal, threat))
        for s in (10, 80)
    )
    assert float(many.mean()) <= float(few.mean())
