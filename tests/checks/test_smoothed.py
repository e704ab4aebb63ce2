"""Radii behind noise against the closed form: a linear base has exactly its margin's distance."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.checks.smoothed import SmoothedVotes
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.records import Subject
from holdfast.testing.worlds import two_class
from holdfast.threats.grammar import parse

VOTES = Smoothing(samples=2000, selection=50)


def about(rows: int = 48) -> tuple[Subject, torch.Tensor]:
    world = two_class(rows)
    batches = Batches(x=world.x, y=world.y)
    return Subject(model=world.model, batches=batches), world.radius(2.0)


def test_proves_less_than_the_truth_and_not_much_less() -> None:
    asked, true = about()
    sigma = 0.2
    found, more = SmoothedVotes(sigma=sigma, radii=(0.25, 0.5, 1.0), certifier=VOTES)(asked)
    assert [r.threat for r in found.readings] == ["l2:0.05", "l2:0.1", "l2:0.2", "", ""]
    known = []
    for reading, share in zip(found.readings[:3], (0.25, 0.5, 1.0), strict=True):
        exact = float((true >= sigma * share).double().mean())
        near = float((true >= sigma * (share + 0.25)).double().mean())
        assert near <= reading.value <= exact and reading.bound == "lower"
        known.append(exact)
    assert known[0] > 0
    bars, figure = found.figures
    shares = [row["y"] for row in figure.rows]
    assert shares == sorted(shares, reverse=True)
    abstained, mean = found.readings[3:]
    assert mean.unit == "in L2" and mean.bound == "lower" and mean.value <= float(true.mean())
    lost = int(more.says.partition("leads on ")[2].split()[0])
    held = sum(row["count"] for row in bars.rows)
    assert held + lost + round(abstained.value * 48) == 48
    assert "0.999" in more.says and "2,000 noisy copies" in more.says


def test_an_l2_threat_of_the_audit_is_tested_with_fewer_copies() -> None:
    asked, true = about()
    asked = replace(asked, threats=(parse("l2:0.1"), parse("linf:0.1")))
    *_, last = SmoothedVotes(sigma=0.2, radii=(0.5, 1.0), certifier=VOTES)(asked)
    (reading,) = last.readings
    assert reading.name == "certificates.smoothed@l2:0.1" and reading.bound == "lower"
    exact, near = (float((true >= r).double().mean()) for r in (0.1, 0.15))
    assert near <= reading.value <= exact
    copies = int(last.says.rpartition("; ")[2].split()[0].replace(",", ""))
    assert 16 <= copies < 2050
    names = [r.name for f in SmoothedVotes(sigma=0.2, certifier=VOTES)(asked) for r in f.readings]
    assert len(names) == len(set(names))  # each radius is answered once


def test_refuses_what_it_cannot_answer() -> None:
    asked, _ = about(8)
    with pytest.raises(ConfigError, match="radii"):
        list(SmoothedVotes(radii=())(asked))
    with pytest.raises(Unsupported):
        list(SmoothedVotes()(Subject(model=None, batches=asked.batches)))
    assert SmoothedVotes(certifier=VOTES).cost(asked) == 8 * 2050
