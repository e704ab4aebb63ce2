"""Frames: which pixels they hold, exact projection, and what a linear model loses under one."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import AtLeast
from holdfast.run.search import search
from holdfast.threats.frame import Frame
from holdfast.threats.grammar import parse


def test_the_frame_is_the_border():
    x = torch.rand(3, 2, 6, 7, dtype=torch.float64)
    inside = Frame(width=2).inside(x)
    expected = torch.ones(6, 7, dtype=torch.bool)
    expected[2:-2, 2:-2] = False
    assert torch.equal(inside, expected)
    assert Frame(width=3).inside(x).all() and not Frame(width=0).inside(x).any()
    ends = Frame(width=1).inside(torch.zeros(1, 2, 5))
    assert ends.tolist() == [True, False, False, False, True]


def test_a_gradient_attack_reaches_the_exact_maximum():
    g = torch.Generator().manual_seed(0)
    weight = torch.randn(1, 5, 5, generator=g, dtype=torch.float64)
    x = torch.rand(8, 1, 5, 5, generator=g, dtype=torch.float64)

    def model(z):
        return (z * weight).flatten(1).sum(1, keepdim=True)

    threat, goal = Frame(width=1), AtLeast(torch.full((8,), 1e3).double())
    gain = torch.where(weight > 0, weight * (1 - x), -weight * x) * threat.inside(x)
    truth = goal(model(x)) + gain.flatten(1).sum(1)
    found = search(PGD(steps=10, travel=3.0), model, x, goal, threat)
    assert torch.allclose(found.margin, truth)


def test_proposals_change_the_share_that_they_say():
    x = torch.full((40, 1, 8, 8), 0.5, dtype=torch.float64)
    threat = Frame(width=1)
    new = threat.near(x, threat.none(x), 0.5, Dice.of(40))
    touched = (new != 0).flatten(1).sum(1).double()
    assert abs(float(touched.mean()) - 14) < 2 and (threat.size(x, new) <= 1).all()
    one = threat.near(x, threat.none(x), 1e-9, Dice.of(40))
    assert ((one != 0).flatten(1).sum(1) == 1).all()


def test_the_grammar_and_what_is_refused():
    assert parse("frame:2:-1..1") == Frame(width=2, low=-1.0, high=1.0)
    assert parse(Frame(width=3).spec) == Frame(width=3)
    with pytest.raises(ConfigError, match="width"):
        parse("frame:x")
    with pytest.raises(Unsupported, match="images"):
        Frame().none(torch.zeros(2, 5))
