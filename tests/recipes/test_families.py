"""Families of training: identities with the mean loss, and how recipes are told apart."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.core.catalog import find
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.records import Finding, Outcome, Report, Severity
from holdfast.hooks.augment import Augment
from holdfast.hooks.balanced import BalancedGroups
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.invariance import DomainInvariance, critic_gain
from holdfast.recipes.families import (
    AUGMENTATION,
    ERM,
    FAMILIES,
    INVARIANCE,
    REWEIGHTING,
    WORST,
    families,
    recommended,
)
from holdfast.recipes.standard import PGD_AT, TRADES, Standard
from holdfast.threats.norms import LInf

G = torch.Generator().manual_seed(0)
X = torch.rand(24, 4, generator=G, dtype=torch.float64)
DATA = Batches(x=X, y=torch.arange(24) % 3, group=torch.arange(24) % 2, size=8)


def weights(recipe: Standard, data: Batches = DATA) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    recipe(net, data)
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def plan(**more: object) -> Standard:
    return Standard(epochs=2, optimizer=Later("torch:SGD", lr=0.1), **more)  # type: ignore[arg-type]


def test_each_family_reduces_to_the_mean_loss() -> None:
    base = weights(plan())
    neutral = (
        plan(objective=DomainInvariance(weight=0.0)),
        plan(objective=AdversarialTraining(threat=LInf(radius=0.0))),
        plan(hooks=(BalancedGroups(amount=0.0),)),
        plan(hooks=(Augment(amount=0.0),)),
    )
    for other in neutral:
        assert torch.allclose(weights(other), base, atol=1e-12)
    one_group = Batches(x=X, y=DATA.y, group=torch.zeros(24).long(), size=8)
    assert torch.allclose(weights(plan(hooks=(BalancedGroups(),)), one_group), base, atol=1e-12)
    assert not torch.allclose(weights(plan(objective=DomainInvariance())), base, atol=1e-6)


def test_the_critic_gains_what_a_loop_says() -> None:
    z = torch.randn(24, 3, generator=G, dtype=torch.float64)
    y, group = DATA.y, DATA.group
    gain = 0.0
    for i in range(24):
        mine = z[(y == y[i]) & (group == group[i])].mean(0)
        gain += float((mine - z[y == y[i]].mean(0)).square().sum()) / 24
    assert abs(float(critic_gain(z, y, group)) - gain) < 1e-12


def test_families_are_read_off_the_parts() -> None:
    assert families(plan()) == (ERM,) and families("recipe:standard") == (ERM,)
    assert families(PGD_AT) == families(TRADES) == (WORST,)
    assert families(plan(objective=DomainInvariance())) == (INVARIANCE,)
    both = plan(hooks=(Augment(amount=0.0), BalancedGroups()))
    assert families(both) == (AUGMENTATION, REWEIGHTING)
    for family in FAMILIES:
        assert find(family.stands_for)


def test_failures_name_their_cures() -> None:
    bad = Finding(severity=Severity.FAILURE, says="Bad.")
    fine = Finding(severity=Severity.GOOD, says="Fine.")
    report = Report(suite="own", subject={}, outcomes=(
        Outcome(check="check:slices", findings=(bad,)),
        Outcome(check="check:worst-case", findings=(fine,)),
        Outcome(check="check:corruptions", findings=(bad,)),
    ))  # fmt: skip
    assert recommended(report) == (REWEIGHTING, INVARIANCE, AUGMENTATION)
