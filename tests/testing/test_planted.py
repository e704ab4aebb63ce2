"""Planted counterexamples are what they say, and those who ask about them notice bugs."""

from __future__ import annotations

import pytest
import torch

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.core.certificate import Certificate
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Certifier
from holdfast.testing.planted import ARCHITECTURES, needle, on_the_edge, soundness, trained


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_witness_is_admissible_and_wrong(architecture: str) -> None:
    for make, dtype in ((on_the_edge, torch.float32), (needle, torch.float64)):
        case = make(architecture, seed=5, dtype=dtype)
        change = (case.witness - case.x).double().abs().amax()
        assert float(change) <= case.radius * (1 + 1e-6)
        assert float(case.witness.min()) >= 0 and float(case.witness.max()) <= 1
        with torch.no_grad():
            assert case.model(case.x).argmax(1) == case.y
            assert case.model(case.witness).argmax(1) != case.y
        assert case.truth


def test_a_needle_is_zero_outside_of_its_foot() -> None:
    case = needle("wide", width=0.1, seed=2)
    g = torch.Generator().manual_seed(0)
    x = case.witness + case.radius * (2 * torch.rand(500, 8, generator=g) - 1)
    far = (x - case.witness).abs().sum(1) > 0.1 * case.radius
    with torch.no_grad():
        same = torch.isclose(case.model(x), case.model.inner(x), atol=1e-6).all(1)
    assert bool(same[far].all()) and int(far.sum()) > 490


def test_equal_arguments_give_equal_nets() -> None:
    a, b = needle(seed=3), needle(seed=3)
    assert torch.equal(a.witness, b.witness) and torch.equal(a.model(a.x), b.model(b.x))
    assert not torch.equal(a.witness, needle(seed=4).witness)


def test_training_hides_counterexamples() -> None:
    cases = trained(steps=150, starts=3, rows=2, hidden=24, window=30)
    assert cases and all(case.truth for case in cases)
    found = soundness(CROWN(), cases)
    assert found.sound


def test_bounds_are_sound_and_not_silent() -> None:
    cases = [make(name, seed=9) for make in (on_the_edge, needle) for name in ("deep", "residual")]
    for method in (IBP(), CROWN()):
        found = soundness(method, cases)
        assert found.sound and found.proved == len(cases)


class Liar(Certifier):
    def __call__(self, model, x, goal, threat, *, dice=None):
        return Certificate(model, threat, torch.full((len(x),), -1.0))


class Mute(Certifier):
    def __call__(self, model, x, goal, threat, *, dice=None):
        raise Unsupported("nothing")


def test_a_false_proof_is_named_and_a_refusal_is_no_proof() -> None:
    cases = [on_the_edge(seed=1), needle(seed=1)]
    found = soundness(Liar(), cases)
    assert found.false == tuple(c.name for c in cases) and not found.sound
    found = soundness(Mute(), cases)
    assert found.refused == len(cases) and not found.false and not found.sound
