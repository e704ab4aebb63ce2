"""What detectors do with features takes time of its own where a model is wide."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tests.run.doubles import Says, subject
from torch import nn

from holdfast.core.catalog import entries, find
from holdfast.core.data import Batches
from holdfast.core.records import Subject
from holdfast.run import dense
from holdfast.run.dense import PRODUCTS, SIDE, Dense, wide
from holdfast.run.pace import Pace
from holdfast.run.plan import plan

IMAGES = Batches(x=torch.rand(6, 1, 4, 4), y=torch.zeros(6, dtype=torch.long))


def net(width: int) -> nn.Module:
    conv = nn.Conv2d(1, width, 3, padding=1)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, 2))


@pytest.fixture
def rated(monkeypatch):
    """A machine on which a product of two numbers takes a second."""
    monkeypatch.setattr(dense, "rate", lambda: 1.0)


def test_the_features_are_what_goes_into_the_last_linear_layer():
    model = net(3)
    assert wide(Subject(model=model, batches=IMAGES)) == 48
    assert wide(Subject(model=lambda x: model(x), batches=IMAGES)) == 48
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert wide(Subject(model=nn.Flatten(), batches=IMAGES)) == 0
    assert wide(Subject()) == wide(subject(batches=IMAGES.take(slice(0, 0)))) == 0
    assert wide(Subject(model=nn.Linear(5, 2), batches=IMAGES)) == 4  # as seen, although it raises


def test_a_covariance_is_inverted_and_every_row_is_turned_by_it(rated):
    about = Dense(Subject(model=net(4), batches=IMAGES, trusted=IMAGES))
    d, n, m = 64, 6, 50
    one = SimpleNamespace(detectors=("detector:mahalanobis",))
    assert about.seconds(one, m) == pytest.approx(d**2 * (n + m + 2 * d / 3))
    three = SimpleNamespace(detectors=("detector:knn", "detector:energy", "detector:mahalanobis"))
    assert about.seconds(three, 3 * m) == pytest.approx(about.seconds(one, m) + d * n * m)
    built = SimpleNamespace(detectors=(find("detector:mahalanobis").thing(shrinkage=0.5),))
    assert about.seconds(built, m) == about.seconds(one, m)
    assert about.seconds(Says(), m) == 0.0


def test_twice_as_wide_takes_eight_times_as_long_where_features_are_many(rated):
    rows = replace(subject(), batches=IMAGES, trusted=IMAGES)
    check = find("check:ood").thing(limit=1)
    took = []
    for width in (64, 128):
        pace, about = Pace(), replace(rows, model=net(width))
        pace.meet(about)
        (cell,) = plan((check,), about)
        took.append(pace.one(cell))
    assert took[1] == pytest.approx(8 * took[0], rel=0.05)


def test_a_product_is_timed_among_those_of_two_matrices(monkeypatch):
    now = iter([0.0, 90.0, 100.0, 102.0, 200.0, 202.0, 300.0, 302.0, 400.0, 402.0])
    monkeypatch.setattr(dense, "clock", lambda: next(now))
    assert dense.rate() == 2.0 / SIDE**3


def test_only_detectors_of_the_catalogue_have_products():
    assert set(PRODUCTS) <= {e.key for e in entries("detector")}
