"""One run of a minimum-norm attack gives the attacked curve at every radius."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.fmn import NEAREST
from holdfast.attacks.pgd import PGD
from holdfast.checks import curves
from holdfast.checks.curves import Asked
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.records import Subject
from holdfast.testing.worlds import Images, three_class
from holdfast.threats.affine import Rotation
from holdfast.threats.norms import L1, L2, LInf
from holdfast.threats.shared import Shared

RADII = (0.25, 0.5, 1.0, 2.0)


def asked(world, threat):
    about = Subject(model=world.model, batches=None, seed=0)
    return Asked(about, world.x, world.y, torch.arange(len(world.x)), threat, RADII)


def counted(monkeypatch):
    """Rows of every search, by attack."""
    seen, search = [], curves.search

    def tapped(attack, model, x, goal, threat, **more):
        seen.append((type(attack).__name__, len(x)))
        return search(attack, model, x, goal, threat, **more)

    monkeypatch.setattr(curves, "search", tapped)
    return seen


@pytest.mark.parametrize("threat", [LInf(radius=0.03), L2(radius=0.1), L1(radius=0.12)])
def test_one_search_gives_the_closed_form_at_every_radius(threat, monkeypatch):
    world, seen = three_class(rows=60), counted(monkeypatch)
    right = torch.ones(60, dtype=torch.bool)
    curve = asked(world, threat).attacked(NEAREST, None, right)
    assert seen == [("FMN", 60)]
    true = world.radius(threat.order)
    for radius, alive in zip(RADII, curve, strict=True):
        far = (true / (radius * threat.radius) - 1).abs() > 0.01
        assert torch.equal(alive[far], (true > radius * threat.radius)[far])
    assert (curve[1:] <= curve[:-1]).all() and 0 < int(curve[1].sum()) < 60


def test_the_curves_are_merged_row_by_row(monkeypatch):
    """Rows that the first attack broke at a radius are not attacked there again."""
    world, threat = Images.make(rows=40), LInf(radius=0.02)
    about, right = asked(world, threat), torch.ones(40, dtype=torch.bool)
    alone = [about.attacked(a, None, right) for a in (NEAREST, PGD(steps=5))]
    seen = counted(monkeypatch)
    both = about.attacked(PGD(steps=5), NEAREST, right)
    assert torch.equal(both, both & alone[0]) and (both <= alone[1]).all()
    assert seen[0] == ("FMN", 40)
    assert [rows for name, rows in seen if name == "PGD"] == [
        int(n) for n in alone[0].sum(1).minimum(both.roll(1, 0)[0].sum()) if n
    ]


def test_threats_without_a_length_leave_it_out(monkeypatch):
    world, threat = Images.make(rows=8), Rotation(degrees=20.0)
    about, right = asked(world, threat), torch.ones(8, dtype=torch.bool)
    plain = about.attacked(PGD(steps=5), None, right)
    assert torch.equal(about.attacked(PGD(steps=5), "attack:deepfool-fmn", right), plain)
    with pytest.raises(Unsupported):
        about.attacked(NEAREST, None, right)


def test_a_change_that_is_larger_than_a_radius_says_nothing_about_it():
    """Broken at a radius means by a change that is admissible there, not by about as much."""
    world, threat = Images.make(rows=40), L2(radius=0.3)
    about, right = asked(world, threat), torch.ones(40, dtype=torch.bool)
    curve = about.attacked(NEAREST, None, right)
    model, goal = world.model, world.goal
    change = type(NEAREST)(start="attack:deepfool", steps=20, stride=3.0, smallest=True)(
        model, world.x, goal, threat.scaled(2.0)
    )
    won = goal(model(world.x + change)) >= 0
    for radius, alive in zip(RADII, curve, strict=True):
        inside = threat.scaled(radius).size(world.x, change) <= 1
        assert torch.equal(alive, ~(won & inside))


def test_one_run_is_enough_unless_both_are_asked_for(monkeypatch):
    world, threat = Images.make(rows=40), LInf(radius=0.02)
    about, right = asked(world, threat), torch.ones(40, dtype=torch.bool)
    alone, seen = about.attacked(NEAREST, None, right), counted(monkeypatch)
    assert torch.equal(about.attacked(PGD(steps=5), NEAREST, right, both=False), alone)
    assert [name for name, _ in seen] == ["FMN"]
    turned = asked(world, Rotation(degrees=20.0))
    turned.attacked(PGD(steps=5), NEAREST, right, both=False)
    assert "PGD" in [name for name, _ in seen[2:]]  # no length: the other attack answers


def test_a_shared_change_breaks_at_each_radius_what_one_change_breaks():
    """Rows broken by the changes of different radii do not add up to one curve."""
    world, threat = Images.make(rows=40), Shared(threat=LInf(radius=0.1))
    about, right = asked(world, threat), torch.ones(40, dtype=torch.bool)
    curve = about.attacked(PGD(steps=5), "attack:deepfool-fmn", right)
    count = [int(alive.sum()) for alive in curve]
    assert count == sorted(count, reverse=True) and count[-1] < 40
    for k, radius in enumerate(RADII):
        found = curves.search(
            PGD(steps=5), world.model, world.x, world.goal, threat.scaled(radius),
            dice=Dice(0, torch.arange(40), f"envelope/{radius:g}"),
        )  # fmt: skip
        assert count[k] <= int((found.margin < 0).sum())
        if k == 0 or count[k] < count[k - 1]:
            assert torch.equal(curve[k], found.margin < 0)
