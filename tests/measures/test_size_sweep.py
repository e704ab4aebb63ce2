"""A model that looks for objects of one size is best at the test size that makes them so."""

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.measures.model.size_sweep import size_sweep
from holdfast.ops.resize import resized


def squares(side, rows=12):
    """A bright square of a side in the middle of 24 x 24 pixels."""
    x = torch.zeros(rows, 1, 24, 24)
    low = 12 - side // 2
    x[:, :, low : low + side, low : low + side] = 1
    return Batches(x=x, y=torch.ones(rows).long(), size=5)


def sees(side):
    """Answers 1 where the bright area is that of a square of the side, to a tenth."""

    def model(x):
        area = x.sum((1, 2, 3)) / side**2
        good = ((area - 1).abs() < 0.1).float()
        return torch.stack([1 - good, good], 1)

    return model


def test_the_peak_is_where_objects_look_as_learnt():
    found = size_sweep(sees(13), squares(10), shares=(0.7, 1.0, 1.3, 1.6))
    assert found.reference == "native"
    right = {v: found.accuracy(v) for v in found.right}
    assert right == {"native": 0, "0.7": 0, "1": 0, "1.3": 1, "1.6": 0}


def test_sizes_and_refusals():
    x = torch.rand(2, 3, 10, 6)
    assert resized(x, 1.3).shape == (2, 3, 13, 8) and resized(x, 0.01).shape == (2, 3, 1, 1)
    assert resized(x, 1.0) is x
    with pytest.raises(ConfigError):
        size_sweep(sees(10), squares(10), shares=(0.0,))
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(576, 2)).eval()
    with pytest.raises(Unsupported, match="one size"):
        size_sweep(fixed, squares(10))
