"""The guard keeps its promise on exchangeable rows, however the scores are distributed."""

import pytest
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.run.guard import Guard


def score(x, y=None):
    return x[:, 0]


def model(x):
    return torch.stack([x[:, 0], -x[:, 0]], 1)


def trusted(x):
    return Batches(x=x, y=(x[:, 0] < 0).long(), size=7)


def test_threshold_is_the_conformal_rank_not_an_interpolation():
    x = torch.arange(19.0)[:, None]
    assert Guard.calibrate(model, score, trusted(x), alarms=0.1).threshold == 17  # rank 18 of 19
    assert Guard.calibrate(model, score, trusted(x), alarms=0.05).threshold == 18


def test_false_alarms_match_the_closed_form():
    """With continuous scores the mean rate is exactly 1 - k / (n + 1)."""
    g = torch.Generator().manual_seed(0)
    rates = []
    for _ in range(400):
        x = torch.rand(59, 1, generator=g, dtype=torch.float64) ** 3
        guard = Guard.calibrate(model, score, trusted(x), alarms=0.1)
        rates.append(1 - guard.threshold ** (1 / 3))
    mean, error = torch.tensor(rates).mean(), torch.tensor(rates).std() / 20
    assert abs(mean - 0.1) < 3 * error
    assert error < 0.003


def test_ties_do_not_raise_alarms():
    x = torch.ones(30, 1)
    guard = Guard.calibrate(model, score, trusted(x), alarms=0.1)
    assert bool(guard(x).accepted.all())


def test_too_few_rows_and_wrong_rates_are_refused():
    x = torch.rand(8, 1)
    for alarms in (0.1, 0.0, 1.0):
        with pytest.raises(ConfigError):
            Guard.calibrate(model, score, trusted(x), alarms=alarms)
    with pytest.raises(ConfigError):
        Guard.calibrate(model, score, trusted(x[:0]), alarms=0.5)
    assert Guard.calibrate(model, score, trusted(torch.rand(9, 1)), alarms=0.1).threshold < 1


def test_what_is_not_finite_is_never_accepted():
    guard = Guard.calibrate(model, score, trusted(torch.rand(20, 1)), alarms=0.1)
    x = torch.tensor([[0.0], [float("nan")], [float("-inf")], [9.0]])
    assert guard(x).accepted.tolist() == [True, False, False, False]
    assert guard(x[:0]).accepted.shape == (0,)


def test_sets_hold_the_label_as_often_as_promised():
    g = torch.Generator().manual_seed(1)
    hits = []
    for _ in range(60):
        z = torch.randn(300, 2, generator=g, dtype=torch.float64)
        y = torch.multinomial(z.softmax(1), 1, generator=g).squeeze(1)
        part = Batches(x=z[:99], y=y[:99])
        guard = Guard.calibrate(lambda x: x, lambda x: x[:, 0], part, misses=0.2)
        hits.append(guard(z[99:]).set.gather(1, y[99:, None]).double().mean())
    assert torch.stack(hits).mean() > 0.79
    assert torch.stack(hits).mean() < 0.83
    plain = Guard.calibrate(lambda x: x, lambda x: x[:, 0], part)
    assert plain(z).set is None
