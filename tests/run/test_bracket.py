"""Certified from below, attacked from above; a lie between them is found."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.pgd import PGD
from holdfast.core.certificate import Certificate
from holdfast.core.errors import Contradiction, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Certifier
from holdfast.run.bracket import bracket
from holdfast.testing.worlds import dual, two_class
from holdfast.threats.norms import LInf

WORLD = two_class(rows=200, seed=3)
RADIUS = 1.001 * float(WORLD.radius(float("inf")).median())
INF = float("inf")


class Exact(Certifier):
    """The truth of a linear model, told with a factor: 1 is honest, 1.5 claims too much."""

    def __init__(self, factor=1.0, confidence=1.0, mass=1.0, about=None, with_radius=False):
        self.factor, self.confidence, self.mass = factor, confidence, mass
        self.about, self.with_radius = about, with_radius

    def __call__(self, model, x, goal, threat, *, dice=None):
        weight, bias = model.weight.detach(), model.bias.detach()
        c, _ = goal.linear(2)
        rows = c @ weight
        values = (rows * x[:, None]).sum(-1) + c @ bias
        radius = (-values / dual(rows, INF)).amin(1) * self.factor
        reach = threat.radius / self.factor
        margin = (values + reach * dual(rows, INF)).amax(1)
        about = model if self.about is None else self.about
        kept = radius if self.with_radius else None
        return Certificate(about, threat, margin, kept, self.confidence, self.mass)


def run(certifier):
    threat = LInf(radius=RADIUS)
    return bracket(
        WORLD.model, WORLD.x, WORLD.goal, threat, attacks=[PGD()], certifiers=[certifier]
    )


def test_the_bracket_closes_on_the_truth_of_a_linear_world():
    found = run(Exact())
    robust = WORLD.worst(RADIUS, INF) < 0
    assert torch.equal(found.certified, robust) and torch.equal(~found.broken, robust)
    value, low, high = found.upper()
    assert value == found.lower()[0] == robust.double().mean() and low < value < high
    assert ((found.by == 0) == found.broken).all()


def test_certified_rows_are_not_attacked_but_for_the_witnesses():
    found = run(Exact())
    assert int(found.witness.sum()) == 32 and (found.certified | ~found.witness).all()
    assert torch.equal(found.looked, ~found.certified | found.witness)


def test_few_certified_rows_are_all_witnesses():
    rows = torch.arange(40)
    found = bracket(
        WORLD.model, WORLD.x[rows], WORLD.goal.take(rows), LInf(radius=RADIUS),
        attacks=["attack:pgd"], certifiers=[Exact()],
    )  # fmt: skip
    assert torch.equal(found.witness, found.certified)


@pytest.mark.parametrize("certifier", [Exact(1.5), Exact(1.5, with_radius=True)])
def test_a_certifier_with_one_and_a_half_times_the_radius_is_caught(certifier):
    with pytest.raises(Contradiction) as caught:
        run(certifier)
    seen = caught.value.witnesses
    assert set(seen) == {"attack", "certificate"}
    assert (seen["attack"]["margin"] >= 0).all() and (seen["certificate"]["margin"] < 0).all()


@pytest.mark.parametrize(
    "certifier",
    [Exact(1.5, confidence=0.99), Exact(1.5, mass=0.9), Exact(1.5, about=torch.nn.Identity())],
)
def test_statements_that_are_not_certain_or_not_about_it_contradict_nothing(certifier):
    found = run(certifier)
    assert not (found.certified & found.broken).any()
    assert found.lower()[0] <= found.upper()[0]


def test_what_is_about_something_else_certifies_nothing():
    assert not run(Exact(mass=0.9)).certified.any()
    assert not run(Exact(about=torch.nn.Identity())).certified.any()


def test_who_cannot_answer_leaves_a_note_and_no_attack_at_all_is_an_error():
    class Mute(Certifier):
        def __call__(self, model, x, goal, threat, *, dice=None):
            raise Unsupported("no such layer")

    found = run(Mute())
    assert not found.certified.any() and "no such layer" in found.notes[0]
    blind = lambda x: WORLD.model(x).detach()  # noqa: E731
    with pytest.raises(Unsupported, match="no attack can search"):
        bracket(blind, WORLD.x, WORLD.goal, LInf(radius=0.1), attacks=["attack:pgd"])


def test_rows_lost_without_a_change_are_neither_certified_nor_attacked():
    goal = Untargeted(1 - WORLD.y)
    found = bracket(
        WORLD.model, WORLD.x, goal, LInf(radius=1e-6), attacks=[PGD()], certifiers=[Exact()]
    )
    assert found.broken.all() and not found.looked.any() and not found.certified.any()


def test_an_empty_batch():
    none = torch.arange(0)
    found = bracket(
        WORLD.model, WORLD.x[none], WORLD.goal.take(none), LInf(radius=0.1),
        attacks=[PGD()], certifiers=[Exact()],
    )  # fmt: skip
    assert found.upper()[1:] == (0.0, 1.0)
