"""Weights between two ends against the line by hand."""

import pytest
import torch
from torch import nn

from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.merge.between import between


def state(seed: int) -> dict:
    g = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    return {
        k: torch.rand(v.shape, generator=g, dtype=v.dtype) if v.is_floating_point() else v + seed
        for k, v in net.state_dict().items()
    }


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_it_is_the_line_and_reproduces_both_ends(share):
    before, after = state(1), state(2)
    found = between([after], before, share=share)
    for name, w in found.items():
        if w.is_floating_point():
            assert torch.allclose(w, (1 - share) * before[name] + share * after[name], atol=1e-15)
    if share in (0, 1):
        end = after if share else before
        assert all(torch.equal(w, end[k]) for k, w in found.items())


def test_several_ends_count_with_their_mean_and_nothing_is_written_to():
    before, ends = state(1), [state(2), state(3)]
    kept = {k: v.clone() for k, v in before.items()}
    found = between(ends, before, share=0.5)
    by_hand = 0.5 * before["0.weight"] + 0.25 * (ends[0]["0.weight"] + ends[1]["0.weight"])
    assert torch.allclose(found["0.weight"], by_hand, atol=1e-15)
    assert all(torch.equal(before[k], v) for k, v in kept.items())


def test_bad_input():
    with pytest.raises(ConfigError, match="before tuning"):
        between([state(1)])
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="share"):
            between([state(1)], state(2), share=share)
    with pytest.raises(ConfigError):
        between([], state(2))
    with pytest.raises(ShapeError):
        between([state(1) | {"more": torch.zeros(1)}], state(2))
    with pytest.raises(Unsupported):
        between([state(1)], state(2), statistics="fresh")
