"""Radii behind noise against the closed form: a linear base has exactly its margin's distance."""

from __future__ import annotations

import pytest
import torch

from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.checks.smoothed import SmoothedVotes
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.records import Subject
from holdfast.testing.worlds import two_class

VOTES = Smoothing(samples=2000, selection=50)


def about(rows: int = 48) -> tuple[Subject, torch.Tensor]:
    world = two_class(rows)
    batches = Batches(x=world.x, y=world.y)
    return Subject(model=world.model, batches=batches), world.radius(2.0)


def test_proves_less_than_the_truth_and_not_much_less() -> None:
    asked, true = about()
    sigma = 0.2
    (found,) = SmoothedVotes(sigma=sigma, radii=(0.25, 0.5, 1.0), certifier=VOTES)(asked)
    assert [r.threat for r in found.readings] == ["l2:0.05", "l2:0.1", "l2:0.2"]
    known = []
    for reading, share in zip(found.readings, (0.25, 0.5, 1.0), strict=True):
        exact = float((true >= sigma * share).double().mean())
        near = float((true >= sigma * (share + 0.25)).double().mean())
        assert near <= reading.value <= exact and reading.bound == "lower"
        known.append(exact)
    assert known[0] > 0
    (figure,) = found.figures
    shares = [row["y"] for row in figure.rows]
    assert shares == sorted(shares, reverse=True)


def test_refuses_what_it_cannot_answer() -> None:
    asked, _ = about(8)
    with pytest.raises(ConfigError, match="radii"):
        list(SmoothedVotes(radii=())(asked))
    with pytest.raises(Unsupported):
        list(SmoothedVotes()(Subject(model=None, batches=asked.batches)))
    assert SmoothedVotes(certifier=VOTES).cost(asked) == 8 * 2050
