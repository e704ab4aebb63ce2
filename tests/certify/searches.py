"""Scenes in which a search over parts must decide: tiny worlds, and levels close to the truth."""

from __future__ import annotations

import time

import torch
from torch import nn

from holdfast.certify.reading.reader import read
from holdfast.certify.search.branch import Decision, prove
from holdfast.testing.worlds import TinyReLU

LATER = 60.0
POINTS = 40000
BEYOND = 0.002  # how far above the least value seen a level lies that is reached


def decides_like_enumeration(*, signs: bool) -> None:
    """What enumeration breaks has a witness, all else a proof with a number below the truth."""
    for seed in range(3):
        world = TinyReLU.make(seed=seed, rows=2)
        graph = read(world.model, world.x)
        c, constant = world.goal.linear(graph.nodes[graph.output].shape[0])
        for radius in (0.1, 0.3):
            worst = world.worst(radius)
            for i, x in enumerate(world.x):
                ways = [(-c[i, w : w + 1], constant[i, w : w + 1]) for w in range(c.shape[1])]
                low, high = (x - radius).clamp(0, 1), (x + radius).clamp(0, 1)
                end = time.monotonic() + LATER
                found = prove(graph, low, high, ways, deadline=end, attack=False, signs=signs)
                assert found.answer == ("sat" if worst[i] > 0 else "unsat")
                if found.witness is not None:
                    z = graph(found.witness[None])[0]
                    assert any(bool((a @ z <= b).all()) for a, b in ways)
                else:
                    assert 0 < found.least <= -float(worst[i]) + 1e-9


def tells_close_levels_apart(model: nn.Module, inputs: int, gap: float) -> Decision:
    """A level below all values is proved, one just above the least has a witness; the proof."""
    graph = read(model, torch.rand(2, inputs).double())
    low, high = torch.zeros(inputs).double(), torch.ones(inputs).double()
    with torch.no_grad():
        z = model(torch.rand(POINTS, inputs).double())
    least = float((z[:, 0] - z[:, 1]).min())

    def asked(level: float) -> Decision:
        rows = [(torch.tensor([[1.0, -1.0]]), torch.tensor([level]))]
        end = time.monotonic() + LATER
        return prove(graph, low, high, rows, deadline=end, attack=False, signs=True)

    assert asked(least + BEYOND).answer == "sat"
    found = asked(least - gap)
    assert found.answer == "unsat" and 0 < found.least <= gap
    return found
