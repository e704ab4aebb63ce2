"""Which number bears the name of the gate, and what is said where nothing can be proved."""

from __future__ import annotations

import pytest
import torch

from holdfast.checks.certificates import Certificates
from holdfast.checks.ladder import name
from holdfast.core.catalog import build
from holdfast.core.certificate import Certificate
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Certifier
from holdfast.core.records import Subject
from holdfast.testing.worlds import two_class
from holdfast.threats.grammar import parse


def test_only_the_whole_radius_bears_the_name_of_the_gate() -> None:
    world = two_class(32)
    asked = Subject(
        model=world.model,
        batches=Batches(x=world.x, y=world.y),
        threats=(parse("linf:0.08"), parse("linf:0.02")),
    )
    found = [r for f in Certificates(radii=(0.25, 1.0))(asked) for r in f.readings]
    readings = [r for r in found if not r.name.startswith("certificates.open")]
    assert [r.name for r in readings] == [
        "certificates.proved@linf:0.08", "certificates.proved_within@linf:0.02",
        "certificates.proved@linf:0.02", "certificates.proved_within@linf:0.005",
    ]  # fmt: skip
    true = world.radius(float("inf"))
    for reading in readings:
        reach = float(reading.threat.partition(":")[2])
        assert reading.value <= float((true > reach).double().mean()) and reading.bound == "lower"


class Refuses(Certifier):
    """Answers no question."""

    def __call__(self, model, x, goal, threat, *, dice=None):
        raise Unsupported("this one never answers")


class Half(Certifier):
    """Proves the rows of class 0, whatever they are."""

    def __call__(self, model, x, goal, threat, *, dice=None):
        margin = torch.where(goal.y == 0, -1.0, 1.0)
        return Certificate(model, threat, margin)


def test_a_certifier_that_refuses_takes_no_other_ones_name() -> None:
    world = two_class(32)
    asked = Subject(
        model=world.model,
        batches=Batches(x=world.x, y=world.y),
        threats=(parse("linf:0.001"),),
    )
    ladder = (Refuses(), Half(), "certifier:crown")
    found = list(Certificates(radii=(1.0,), certifiers=ladder)(asked))
    rows = [r for f in found for g in f.figures for r in g.rows]
    good = world.goal(world.model(world.x)) < 0
    right, zeros = int(good.sum()), int((good & (world.y == 0)).sum())
    proved = {r["method"]: (r["rows"], r["asked"]) for r in rows if r["state"] == "proved"}
    assert list(proved) == ["Half", "certifier:crown"]
    assert proved["Half"] == (zeros, right)
    assert proved["certifier:crown"] == (right - zeros, right - zeros)
    assert sum(r["rows"] for r in rows) == 32 and {r["n"] for r in rows} == {32}
    assert any("never answers" in f.says for f in found)
    assert name(build("certifier:crown", intermediate="ibp")) == "certifier:crown intermediate=ibp"
    assert name(build("certifier:crown")) == "certifier:crown" == name("certifier:crown")


def test_a_black_box_is_refused_with_the_reason_of_the_certifiers() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(x.detach().numpy()[:, :2].copy())

    rows = Batches(x=torch.rand(12, 4), y=torch.arange(12) % 2)
    asked = Subject(model=model, batches=rows, threats=(parse("linf:0.1"),))
    with pytest.raises(Unsupported) as caught:
        list(Certificates()(asked))
    assert "IBP" in caught.value.says and "no attack" not in caught.value.says
