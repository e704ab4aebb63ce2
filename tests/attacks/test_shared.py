"""One change for all rows: shared indeed, as good as enumeration, with draws of its own."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.apgd import APGD
from holdfast.attacks.grid import Grid
from holdfast.attacks.pgd import BIM, PGD
from holdfast.attacks.square import Square
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.run.search import search, stronger
from holdfast.testing.worlds import Images, TinyReLU, grid, two_class
from holdfast.threats.norms import L2, LInf
from holdfast.threats.shared import Shared

ATTACKS = [PGD(steps=10, restarts=2), BIM, APGD(steps=20), Square(steps=60)]


@pytest.mark.parametrize("inner", [LInf(radius=0.1), L2(radius=0.4)])
@pytest.mark.parametrize("attack", ATTACKS)
def test_every_row_gets_the_same_admissible_change(attack, inner):
    world, threat = Images.make(rows=12), Shared(threat=inner)
    found = search(attack, world.model, world.x, world.goal, threat)
    assert torch.equal(found.change, found.change[:1].expand_as(found.change))
    assert found.change.any() and (threat.size(world.x, found.change) <= 1 + 1e-6).all()
    with torch.no_grad():
        again = world.goal(threat.through(world.model, world.x, found.change))
    assert torch.allclose(again, found.margin, atol=1e-9)
    assert stronger(found.margin, found.clean)


@pytest.mark.parametrize("attack", [*ATTACKS, Grid(samples=21)])
def test_it_breaks_as_many_rows_as_the_best_of_all_changes(attack):
    """Two inputs only, so that all changes of a fine grid can be tried one after the other."""
    world, radius = TinyReLU.make(rows=24), 0.15
    every = radius * grid(2, 61)
    with torch.no_grad():
        z = world.model(world.x + every[:, None]).flatten(0, 1)
    margins = Untargeted(world.y.repeat(len(every)))(z).reshape(len(every), 24)
    most = int((margins >= 0).sum(1).max())
    found = search(attack, world.model, world.x, world.goal, Shared(threat=LInf(radius=radius)))
    alone = search(PGD(restarts=5), world.model, world.x, world.goal, LInf(radius=radius))
    assert most >= 3 and int(alone.broken.sum()) > most  # sharing costs the adversary something
    assert most - 1 <= int(found.broken.sum()) <= most + 1


def test_rows_of_one_class_of_a_linear_model_share_their_worst_change():
    world = two_class(rows=40)
    rows = (world.y == world.y[0]).nonzero().flatten()
    goal, x = Untargeted(world.y[rows]), world.x[rows]
    found = search(PGD(), world.model, x, goal, Shared(threat=LInf(radius=0.02)))
    assert len(rows) > 5
    assert torch.allclose(found.margin, world.worst(0.02, float("inf"))[rows], atol=1e-9)


def test_the_change_depends_on_neither_chunk_nor_keys():
    world, threat = Images.make(rows=12), Shared(threat=LInf(radius=0.2))

    def changed(**more):
        short = PGD(steps=1, travel=0.1)  # what it finds still shows where it started
        return search(short, world.model, world.x, world.goal, threat, **more).change

    assert torch.equal(changed(), changed(chunk=3))
    assert torch.equal(changed(), changed(dice=Dice(0, torch.arange(12) + 100)))
    assert not torch.equal(changed(), changed(dice=Dice.of(12, seed=1)))


@pytest.mark.parametrize("inner", [LInf(radius=0.05), L2(radius=0.5)])
def test_every_restart_draws_another_start(inner):
    world, threat, dice = Images.make(rows=6), Shared(threat=inner), Dice.of(6)
    starts = [threat.sample(world.x, dice) for _ in range(3)]
    moves = [threat.near(world.x, starts[0], 0.3, dice) for _ in range(3)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(starts[one], starts[other])
        assert not torch.equal(moves[one], moves[other])


def test_rows_are_never_left_out_of_a_shared_change():
    world, seen = Images.make(rows=12), []

    def model(x):
        seen.append(len(x))
        return world.model(x)

    search(PGD(steps=5), model, world.x, world.goal, Shared(threat=LInf(radius=0.1)), chunk=4)
    assert max(seen[3:-1]) == min(seen[3:-1]) == 12  # the first three are the clean look
