"""How far attacks stay behind the truth, where the truth is known.

The share reached is (margin found - margin without change) / (worst margin - margin without
change): 1 is exact. An attack is a bound from one side only, so it must never exceed 1.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch

from holdfast.attacks.apgd import APGD
from holdfast.attacks.pgd import PGD
from holdfast.run.search import search
from holdfast.testing.worlds import TinyReLU, two_class
from holdfast.threats.norms import L1, L2, LInf

SEEDS, ROWS, RADIUS = (5, 6, 7, 8), 24, 0.12


@cache
def known(seed):
    """A net and the worst margin of each row."""
    world = TinyReLU.make(rows=ROWS, seed=seed)
    return world, world.worst(RADIUS)


def reached(attack):
    """Shares of rows that cannot be broken, and how many breakable rows were missed, of how many.

    Over several nets whose linear pieces are enumerated.
    """
    shares, missed, due = [], 0, 0
    for seed in SEEDS:
        world, truth = known(seed)
        found = search(attack, world.model, world.x, world.goal, LInf(radius=RADIUS))
        assert (found.margin <= truth + 1e-9).all()
        left = truth < 0
        shares.append(((found.margin - found.clean) / (truth - found.clean))[left])
        missed, due = missed + int((~left & ~found.broken).sum()), due + int((~left).sum())
    return torch.cat(shares), missed, due


@pytest.mark.parametrize(("threat", "order"), [(LInf, float("inf")), (L2, 2), (L1, 1)])
def test_on_linear_models_there_is_no_gap_to_speak_of(threat, order):
    world, radius = two_class(rows=48), {1: 0.1, 2: 0.05}.get(order, 0.02)
    found = search(PGD(), world.model, world.x, world.goal, threat(radius=radius))
    truth, left = world.worst(radius, order), ~found.broken
    share = ((found.margin - found.clean) / (truth - found.clean))[left]
    assert left.sum() > 10 and int((truth >= 0).sum() - found.broken.sum()) in (0, 1)
    assert share.min() > 0.94 and share.max() <= 1 + 1e-9  # a path of 2.5 radii in 40 steps


def test_one_start_comes_close_and_restarts_close_most_of_the_rest():
    one, missed, due = reached(PGD())
    many, still, _ = reached(PGD(restarts=10))
    assert len(one) >= 30 and due >= 10
    assert one.median() > 0.95 and one.mean() > 0.8 and missed <= 0.1 * due
    assert many.median() > 0.99 and many.mean() > 0.95 and still <= min(missed, 0.05 * due)
    assert many.mean() > one.mean()


def test_a_step_that_shrinks_leaves_a_smaller_gap():
    fixed, _, _ = reached(PGD(climb="margin"))
    own, missed, due = reached(APGD(steps=40, climb="margin"))
    assert (1 - own).median() < (1 - fixed).median() and own.mean() > 0.8 and missed <= 0.1 * due


def test_a_weak_attack_shows():
    """The numbers above mean something: without enough steps they are not reached."""
    few, _, _ = reached(PGD(steps=1, travel=0.5))
    assert few.median() < 0.9
