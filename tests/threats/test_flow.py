"""Vector fields as a threat: grammar, smoothness, whole pixels."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.testing.conform import conform
from holdfast.threats.flow import Flow
from holdfast.threats.grammar import parse


@pytest.mark.parametrize(
    "threat", [Flow(norm="l2"), Flow(norm="l1", pixels=1.3), Flow(smooth=0.1),
               Flow(norm="l2", smooth=0.1)], ids=lambda t: t.spec,
)  # fmt: skip
def test_every_kind_obeys_the_laws(threat: Flow) -> None:
    assert conform(threat, "threat") > 10


def test_a_whole_pixel_is_a_shift() -> None:
    x = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    change = torch.zeros(2, 2, 5, 6)
    change[:, 0], change[:, 1] = 1, -2  # read one to the right, two above
    moved = Flow(pixels=2.0).apply(x, change)
    assert torch.equal(moved[:, :, 2:, :-1], x[:, :, :-2, 1:])
    assert not moved[:, :, :2].any() and not moved[:, :, :, -1].any()


def test_projection_makes_fields_smooth_and_short() -> None:
    x = torch.zeros(3, 1, 7, 7)
    wild = 5 * Dice.of(3).normal((2, 7, 7))
    for norm in ("linf", "l2", "l1"):
        threat = Flow(pixels=0.8, norm=norm, smooth=0.1)
        kept = threat.project(x, wild)
        assert float(threat.size(x, kept).max()) <= 1 + 1e-5
        assert float(kept.diff(dim=2).abs().max()) <= 0.1 + 1e-6
        assert torch.allclose(threat.project(x, kept), kept, atol=1e-6)
    assert float(Flow(pixels=0.8).size(x, 2 * kept / kept.abs().max()).min()) > 1


def test_reads_and_refuses() -> None:
    assert parse("flow:0.5:l2:smooth0.1") == Flow(pixels=0.5, norm="l2", smooth=0.1)
    for text in ("flow", "flow:0.5:l3", "flow:x"):
        with pytest.raises(ConfigError):
            parse(text)
    with pytest.raises(Unsupported):
        Flow().none(torch.zeros(2, 5))
