"""Checks of mixtures of experts and against oracles, on subjects with a known answer."""

import pytest
import torch
from torch import nn

from holdfast.checks.mixture import MixtureOfExperts
from holdfast.checks.oracle import OracleCheck
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.records import Severity, Subject
from holdfast.layers.mixture import TopKMoE
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import LInf


def test_equal_experts_are_worth_the_same():
    world = two_class(rows=40)
    router = nn.Linear(8, 3).double()
    model = TopKMoE([world.model] * 3, router, k=1).eval()
    threat = LInf(radius=float(world.radius(float("inf")).median()))
    subject = Subject(model=model, batches=Batches(x=world.x, y=world.y), threats=(threat,))
    (finding,) = MixtureOfExperts()(subject)
    value = {r.name.removeprefix("mixture."): r.value for r in finding.readings}
    assert value["accuracy.clean"] == value["accuracy.random-experts"] == 1
    assert (
        value["accuracy.attacked"]
        == value["accuracy.clean-routing"]
        == pytest.approx(0.5, abs=0.05)
    )
    assert finding.severity is Severity.INFO
    with pytest.raises(Unsupported, match="mixture"):
        list(MixtureOfExperts()(Subject(model=world.model, batches=subject.batches,
                                        threats=(threat,))))  # fmt: skip


def test_oracles_are_named_by_their_role():
    world = two_class(rows=40)
    rows = Batches(x=world.x, y=world.y)
    with pytest.raises(Unsupported, match="oracle"):
        list(OracleCheck()(Subject(model=world.model, batches=rows)))
    same = Subject(model=world.model, batches=rows, others={"oracle": world.model})
    (finding,) = OracleCheck()(same)
    assert finding.readings[0].value == 100 and finding.severity is Severity.INFO
    weak = nn.Linear(8, 2).double()
    with torch.no_grad():  # right on the same rows, but it looks in another direction too
        way = torch.randn(8, generator=torch.Generator().manual_seed(0)).double()
        weak.weight.copy_(world.model.weight + torch.stack([way, -way]) * 3)
        weak.bias.copy_(world.model.bias)
    (finding,) = OracleCheck(step_size=0.01)(Subject(model=weak, batches=rows,
                                                     others={"oracle": world.model}))  # fmt: skip
    assert finding.readings[0].value < 100
