"""Points drawn around the nearest: they reach what descents pass by, and never leave the box."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from holdfast.certify.search.crowd import EACH, KEPT, ROUNDS, crowd
from holdfast.certify.search.tried import Tried, probe
from holdfast.certify.search.unsafe import Unsafe
from holdfast.certify.search.witness import descend, seek
from holdfast.ops.interval import Box

LEVEL = 0.05  # of the steps below
BOX = Box(torch.full((3,), -1.0), torch.ones(3))
UNSAFE = Unsafe.of([(torch.ones(1, 1), torch.tensor([LEVEL / 2]))])
HIDDEN = torch.tensor([0.31, -0.47, 0.62])


def stairs(x: Tensor) -> Tensor:
    """The distance from a point that lies off the centre, in steps: its slope is zero."""
    far = (x - HIDDEN).norm(dim=1, keepdim=True)
    return (far / LEVEL).floor() * LEVEL + 0 * x.sum(1, keepdim=True)


def start(count: int, seed: int) -> Tried:
    draws = torch.Generator().manual_seed(seed)
    return probe(stairs, UNSAFE, 2 * torch.rand(count, 3, generator=draws) - 1)


@pytest.mark.parametrize("seed", range(3))
def test_it_reaches_what_no_slope_leads_to(seed):
    first, draws = start(100, seed), torch.Generator().manual_seed(seed)
    assert first.witness is None
    ended = descend(stairs, UNSAFE, first.x, BOX, torch.zeros(100, dtype=torch.long), 60)
    assert ended.witness is None
    found = list(crowd(stairs, UNSAFE, first, BOX, draws))
    assert found[-1].witness is not None and stairs(found[-1].witness[None]) <= LEVEL / 2
    assert all(t.witness is None for t in found[:-1]) and len(found) <= ROUNDS
    for tried in found:
        assert len(tried.x) <= KEPT * EACH
        assert bool(((tried.x >= BOX.low) & (tried.x <= BOX.high)).all())


def test_points_come_closer():
    never = Unsafe.of([(torch.ones(1, 1), torch.tensor([-1.0]))])
    first = probe(stairs, never, start(100, 0).x)
    every = list(crowd(stairs, never, first, BOX, torch.Generator().manual_seed(0)))
    assert len(every) == ROUNDS
    spread = [float(t.x.std(0).amax()) for t in every]
    assert spread[-1] < spread[0] / 3 and all(b < 1.5 * a for a, b in pairwise(spread))


def test_no_point_is_drawn_after_the_deadline():
    past = time.monotonic() - 1
    assert not list(crowd(stairs, UNSAFE, start(9, 0), BOX, torch.Generator(), past))


def test_few_inputs_are_searched_so():
    found = seek(
        stairs, UNSAFE, BOX, torch.Generator().manual_seed(1),
        samples=64, at_once=64, starts=16, steps=5,
    )  # fmt: skip
    assert any(t.witness is not None for t in found)
