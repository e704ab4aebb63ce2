"""Cyclic moves: whole pixels are exact."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.errors import ConfigError, Unsupported
from holdfast.threats.cyclic import Cyclic
from holdfast.threats.grammar import parse


def test_whole_pixels_are_rolls_and_halves_are_means() -> None:
    x = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    threat = Cyclic(pixels=2.0)
    assert torch.equal(threat.apply(x, torch.tensor([[1.0, -0.5]] * 2)), x.roll((-1, 2), (2, 3)))
    assert torch.equal(threat.apply(x, torch.zeros(2, 2)), x)
    half = threat.apply(x, torch.tensor([[0.25, 0.0]] * 2))
    assert torch.allclose(half, (x + x.roll(1, 3)) / 2)


def test_reads_and_refuses() -> None:
    assert parse("cyclic:3") == Cyclic(pixels=3.0)
    with pytest.raises(ConfigError):
        parse("cyclic")
    with pytest.raises(Unsupported):
        Cyclic().apply(torch.zeros(2, 5), torch.zeros(2, 2))
