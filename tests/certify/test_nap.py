"""Activation patterns against counting, sampling, and the bound without a pattern."""

import pytest
import torch

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.nap import pattern_margin
from holdfast.certify.patterns import Patterns, activations
from holdfast.core.errors import ConfigError
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf

WORLD = TinyReLU.make(rows=40)


def test_patterns_are_what_a_share_of_each_class_does() -> None:
    (on,) = activations(WORLD.model, WORLD.x)
    assert torch.equal(on, WORLD.model[0](WORLD.x) > 0)
    for share in (1.0, 0.8):
        (signs,) = Patterns.mine(WORLD.model, WORLD.x, WORLD.y, share=share).signs
        for k in range(3):
            own = on[WORLD.y == k].double()
            for unit in range(5):
                mean = float(own[:, unit].mean()) if len(own) else 0.5
                expected = 1 if mean >= share else -1 if 1 - mean >= share else 0
                assert int(signs[k, unit]) == expected
    strict = Patterns.mine(WORLD.model, WORLD.x, WORLD.y, share=1.0)
    assert bool(strict.follows(WORLD.model, WORLD.x, WORLD.y).all())
    with pytest.raises(ConfigError):
        Patterns.mine(WORLD.model, WORLD.x, WORLD.y, share=0.5)


def test_no_input_that_follows_the_pattern_exceeds_the_bound() -> None:
    patterns = Patterns.mine(WORLD.model, WORLD.x, WORLD.y, share=0.8)
    threat = LInf(radius=0.2, low=-1.0, high=2.0)
    proof = pattern_margin(WORLD.model, patterns, WORLD.x, WORLD.y, WORLD.goal, threat)
    free = CROWN()(WORLD.model, WORLD.x, WORLD.goal, threat).margin
    assert bool((proof.margin <= free + 1e-12).all()) and bool((proof.margin < free - 0.1).any())
    g = torch.Generator().manual_seed(0)
    met = torch.zeros(40, dtype=torch.int64)
    for _ in range(200):
        x = WORLD.x + 0.4 * (torch.rand(40, 2, generator=g, dtype=torch.float64) - 0.5)
        inside = patterns.follows(WORLD.model, x, WORLD.y)
        met += inside
        with torch.no_grad():
            margin = WORLD.goal(WORLD.model(x))
        assert bool((margin <= proof.margin)[inside].all())
    assert int(met.sum()) > 1000 and not bool(proof.empty[met > 0].any())


def test_a_pattern_that_nothing_follows_is_empty_and_said_to_be() -> None:
    patterns = Patterns.mine(WORLD.model, WORLD.x, WORLD.y, share=1.0)
    turned = Patterns(tuple(-s for s in patterns.signs))
    proof = pattern_margin(WORLD.model, turned, WORLD.x, WORLD.y, WORLD.goal, LInf(radius=1e-4))
    assert bool(proof.empty.any())
    found = turned.follows(WORLD.model, WORLD.x, WORLD.y)
    assert not bool((found & proof.empty).any())


def test_two_patterns_exclude_each_other_where_a_unit_would_be_on_and_off() -> None:
    signs = torch.tensor([[1, 0, -1], [0, 1, -1], [-1, 0, 0]], dtype=torch.int8)
    patterns = Patterns((signs,))
    assert not patterns.disjoint(0, 1) and patterns.disjoint(0, 2)
    assert abs(patterns.specified(0) - 2 / 3) < 1e-12
