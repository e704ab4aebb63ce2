"""Detectors against scikit-learn, closed forms and inequalities."""

import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import NearestNeighbors
from torch import nn

from holdfast.core.catalog import entries
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.detect.confidence import Energy, MaxSoftmax
from holdfast.detect.distance import KNN, Mahalanobis
from holdfast.detect.features import features
from holdfast.run.guard import Guard

G = torch.Generator().manual_seed(0)
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    MODEL = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()
X = torch.randn(90, 5, generator=G, dtype=torch.float64)
TRUSTED = Batches(x=X[:60], y=torch.arange(60) % 3, size=16)


def test_max_softmax_ranks_like_one_minus_the_probability():
    score = MaxSoftmax().fit(MODEL, TRUSTED)(X)
    p = MODEL(X).softmax(1).amax(1)
    assert torch.allclose(1 - (-score).exp(), 1 - p)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_energy_lies_between_its_bounds(temperature):
    score = Energy(temperature=temperature).fit(MODEL, TRUSTED)(X)
    top = MODEL(X).amax(1)
    assert bool((-score >= top - 1e-12).all())
    assert bool((-score <= top + temperature * np.log(3) + 1e-12).all())
    assert torch.allclose(-score, temperature * (MODEL(X) / temperature).exp().sum(1).log())


def test_penultimate_features_are_what_the_last_layer_reads():
    assert torch.equal(features(MODEL, X), MODEL[:2](X))
    assert torch.equal(features(MODEL, X, "0"), MODEL[0](X))
    assert torch.equal(features(MODEL, X, "logits"), MODEL(X))
    assert torch.equal(features(lambda x: 2 * x, X), 2 * X)
    with pytest.raises(ConfigError):
        features(MODEL, X, "nowhere")


def test_maps_are_averaged_over_their_places():
    conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    x = torch.rand(3, 1, 4, 4)
    assert torch.allclose(features(conv, x, "0"), conv[0](x).mean((2, 3)).double())


def test_knn_against_scikit_learn():
    score = KNN(neighbours=4).fit(MODEL, TRUSTED)
    unit = nn.functional.normalize(MODEL[:2](X)).detach().numpy()
    want = NearestNeighbors(n_neighbors=4).fit(unit[:60]).kneighbors(unit)[0][:, -1]
    assert np.allclose(score(X).detach().numpy(), want, atol=1e-7)
    assert KNN(neighbours=1).fit(MODEL, TRUSTED)(X[:60]).abs().max() < 1e-7
    assert KNN(neighbours=500).fit(MODEL, TRUSTED)(X).shape == (90,)


def test_mahalanobis_against_scikit_learn():
    found = MODEL[:2](X).detach().numpy()
    own, y = found[:60], TRUSTED.y.numpy()
    means = np.stack([own[y == k].mean(0) for k in range(3)])
    shared = EmpiricalCovariance(assume_centered=True).fit(own - means[y])
    spread = shared.covariance_ + 1e-6 * np.trace(shared.covariance_) / 8 * np.eye(8)
    want = np.stack(
        [np.einsum("nd,de,ne->n", found - m, np.linalg.inv(spread), found - m) for m in means]
    ).min(0)
    score = Mahalanobis(shrinkage=1e-6).fit(MODEL, TRUSTED)
    assert np.allclose(score(X).detach().numpy(), want, rtol=1e-6)


# Patterns are signs of ReLUs: this net has none, and signs pass no gradient. ASH refuses features
# that may be negative.
OTHERS = [e for e in entries("detector") if e.name not in ("activation-pattern", "ash")]


def test_scores_carry_a_gradient_to_the_input():
    for entry in OTHERS:
        x = X[60:62].clone().requires_grad_()
        entry.thing().fit(MODEL, TRUSTED)(x).sum().backward()
        assert x.grad.abs().sum() > 0
        assert all(p.grad is None for p in MODEL.parameters())


@pytest.mark.parametrize("entry", OTHERS, ids=lambda e: e.name)
def test_a_guard_around_each_detector_keeps_its_rate_of_false_alarms(entry):
    """Fitted on one part, calibrated on a second, tried on fresh rows of the same kind."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(40 * 160, 5, generator=g, dtype=torch.float64)
    y = MODEL(x).argmax(1)
    rates = []
    for part in torch.arange(len(x)).split(160):
        fit, calibrate, fresh = part.split([40, 49, 71])
        score = entry.thing().fit(MODEL, Batches(x=x[fit], y=y[fit]))
        held = Batches(x=x[calibrate], y=y[calibrate])
        guard = Guard.calibrate(MODEL, score, held, alarms=0.1)
        rates.append(float((~guard(x[fresh]).accepted).double().mean()))
    error = np.std(rates) / len(rates) ** 0.5
    assert abs(np.mean(rates) - 0.1) < 4 * error and error < 0.02  # exactly 1 - 45 / 50


def test_a_guard_turns_away_what_is_far_from_the_trusted_rows():
    def model(x):
        return x

    near, far = X + 5, torch.full((20, 5), -40.0, dtype=torch.float64)  # the opposite direction
    trusted = Batches(x=near[:60], y=TRUSTED.y, size=16)
    held = Batches(x=near[60:], y=torch.zeros(30).long())
    for detector in (KNN(), Mahalanobis()):
        guard = Guard.calibrate(model, detector.fit(model, trusted), held)
        assert not guard(far).accepted.any()
        assert guard(near[:60]).accepted.double().mean() > 0.7


def test_mahalanobis_needs_labels():
    blind = Batches(x=X, y=torch.full((90,), -100))
    with pytest.raises(Unsupported):
        Mahalanobis().fit(MODEL, blind)
    assert KNN().fit(MODEL, blind)(X).isfinite().all()
