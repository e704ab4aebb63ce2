"""The rate that follows accuracy, against reductions counted by hand."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later
from holdfast.hooks.accel import AccelAT, reductions
from holdfast.run.loop import Training
from holdfast.threats.norms import LInf


def test_reductions_fall_where_they_are_counted_by_hand() -> None:
    # Means over 3: they rise by 0.1 up to epoch 5, by 0.067 and 0.033, then stay.
    ramp = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.7, 0.8, 0.9]
    # From epoch 8 on nothing grows; the next one needs more than two epochs of rest.
    assert reductions(ramp, window=3, rest=2, least=0.01) == [8, 10]
    assert reductions(ramp, window=3, rest=2, least=0.05) == [7, 9, 11]
    assert reductions([0.5] * 10, window=3, rest=2, least=0.0) == []
    falling = [0.9 - 0.05 * i for i in range(12)]
    found = reductions(falling, window=3, rest=4, least=0.01)
    assert found == [4, 8] and all(b - a >= 4 for a, b in pairwise(found))


def test_the_rate_of_the_run_falls_down_to_the_lowest_and_accuracy_can_stop_it() -> None:
    x = torch.rand(24, 4, generator=torch.Generator().manual_seed(1))
    rows = Batches(x=x, y=torch.arange(24) % 2, size=8)

    def ran(**settings):
        hook = AccelAT(held=rows, threat=LInf(radius=0.0), window=2, rest=1, least=1.0, **settings)
        plan = Training(
            epochs=10, schedule="constant", optimizer=Later("torch:SGD", lr=0.1), hooks=(hook,)
        )
        return plan(nn.Linear(4, 2), rows)

    # With growth of 100 points asked for, every epoch after three is due, and one must rest.
    rates = [row["rate"] for row in ran(factor=0.5).history]
    assert rates == pytest.approx([0.1 * 0.5 ** max(0, epoch - 3) for epoch in range(10)])
    assert min(row["rate"] for row in ran(factor=0.5, lowest=0.04).history) == 0.04
    run = ran(enough=0.0)
    assert run.epoch == 1 and run.stopped == "early"
    with pytest.raises(ConfigError, match="held"):
        Training(hooks=(AccelAT(),), epochs=1)(nn.Linear(4, 2), rows)
