"""Grid against naive enumeration."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.grid import Grid
from holdfast.core.errors import Unsupported
from holdfast.run.search import search
from holdfast.testing.worlds import Images, TinyReLU, grid
from holdfast.threats.grammar import parse
from holdfast.threats.norms import LInf


@pytest.mark.parametrize(
    ("text", "count"), [("rotation:30", 1), ("rotation:30+translation:0.1", 3)]
)
def test_it_is_the_enumeration_of_angles_and_shifts(text, count):
    world, threat = Images.make(), parse(text)
    found = search(Grid(samples=5), world.model, world.x, world.goal, threat)
    every = []
    with torch.no_grad():
        for point in grid(count, 5):
            change = point.expand(len(world.x), count)
            every.append(world.goal(world.model(threat.apply(world.x, change))))
    best = torch.stack(every).amax(0)
    assert torch.equal(found.broken, best >= 0)
    left = ~found.broken
    assert torch.allclose(found.margin[left], best[left].clamp(min=found.clean[left]), atol=1e-9)


def test_a_fine_grid_finds_the_enumerated_maximum_of_a_small_net():
    world = TinyReLU.make()
    truth = world.worst(0.05)
    found = search(Grid(samples=41), world.model, world.x, world.goal, LInf(radius=0.05))
    left = ~found.broken
    assert (found.margin <= truth + 1e-9).all()
    assert left.any() and torch.allclose(found.margin[left], truth[left], atol=0.02)


def test_large_threats_are_refused():
    world = Images.make()
    with pytest.raises(Unsupported, match="more than"):
        search(Grid(), world.model, world.x, world.goal, LInf(radius=0.1))
