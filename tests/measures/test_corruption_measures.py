"""mCE, flip rate and ranking distances against cases counted by hand."""

import math

import pytest
import torch

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import readings
from holdfast.measures.outputs.corruption_error import ALEXNET, corruption_error
from holdfast.measures.outputs.flips import flip_rate, top_distance, zipf_distance


def values(record):
    return {r.name: r.value for r in readings(record)}


def test_counted_by_hand():
    wrong = {
        "fog": torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0]]).bool(),  # errors 1/4, 2/4
        "snow": torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]]).bool(),  # 2/4, 4/4
    }
    clean = torch.tensor([1, 0, 0, 0]).bool()
    found = values(
        corruption_error(wrong, clean, reference={"fog": 0.5, "snow": 0.6, "clean": 0.3})
    )
    assert found["corruption.ce.fog"] == pytest.approx(0.375 / 0.5)
    assert found["corruption.ce.snow"] == pytest.approx(0.75 / 0.6)
    assert found["corruption.mce"] == pytest.approx((0.75 + 1.25) / 2)
    relative = ((0.375 - 0.25) / 0.2 + (0.75 - 0.25) / 0.3) / 2
    assert found["corruption.relative_mce"] == pytest.approx(relative)
    plain = values(corruption_error(wrong, clean))
    assert plain["corruption.mean"] == pytest.approx((0.375 + 0.75) / 2)
    assert "corruption.mce" not in plain


def test_the_reference_itself_has_one():
    g = torch.Generator().manual_seed(0)
    wrong = {k: torch.rand(5, 50, generator=g) < e for k, e in ALEXNET.items() if k != "clean"}
    clean = torch.rand(50, generator=g) < ALEXNET["clean"]
    own = {k: float(w.double().mean()) for k, w in wrong.items()} | {
        "clean": float(clean.double().mean())
    }
    found = values(corruption_error(wrong, clean, reference=own))
    assert found["corruption.mce"] == pytest.approx(1)
    assert found["corruption.relative_mce"] == pytest.approx(1)
    turned = values(corruption_error(dict(reversed(wrong.items())), clean, reference=own))
    assert turned == pytest.approx(found)
    assert len(ALEXNET) == 16


def test_useless_references_are_refused():
    wrong, clean = {"fog": torch.ones(5, 3).bool()}, torch.zeros(3).bool()
    for reference in ({"snow": 0.5}, {"fog": 0.0}, {"fog": 0.4, "clean": 0.4}):
        with pytest.raises(ConfigError, match="fog"):
            corruption_error(wrong, clean, reference=reference)
    for bad in ({}, {"fog": torch.ones(5, 2)}):
        with pytest.raises(ShapeError):
            corruption_error(bad, clean)


def one_hot(rows):
    return torch.nn.functional.one_hot(torch.tensor(rows), 3).double()


def test_flips():
    steady, alternating = one_hot([[1, 1, 1, 1, 1]]), one_hot([[0, 1, 0, 1, 0]])
    assert values(flip_rate({"fog": steady}))["flips.fog"] == 0
    assert values(flip_rate({"fog": alternating}))["flips.fog"] == 1
    assert values(flip_rate({"shot-noise": alternating}))["flips.shot-noise"] == 0.5
    two = {"fog": alternating, "shot-noise": alternating}
    found = values(flip_rate(two, reference={"fog": 0.5, "shot-noise": 0.25}))
    assert found["flips.mean"] == 0.75
    assert found["flips.rate.fog"] == found["flips.rate.shot-noise"] == 2
    assert found["flips.rate.mean"] == 2
    broken = steady.clone()
    broken[0, 2] = torch.nan
    assert values(flip_rate({"fog": broken}))["flips.fog"] == 0.5
    with pytest.raises(ConfigError):
        flip_rate(two, reference={"fog": 0.5})
    with pytest.raises(ShapeError):
        flip_rate({"fog": steady[:, :1]})


def ranked(*orders):
    """Logits of frames whose rankings are the given classes, best first."""
    z = torch.zeros(1, len(orders), 1000)
    for frame, order in enumerate(orders):
        rest = [c for c in range(1000) if c not in order]
        z[0, frame, torch.tensor([*order, *rest])] = -torch.arange(1000.0)
    return {"fog": z}


@pytest.mark.parametrize(
    ("swapped", "far"),
    [((0, 0), 0), ((0, 1), 2), ((4, 5), 1), ((4, 998), 1), ((0, 4), 8), ((6, 7), 0)],
)
def test_top_distance(swapped, far):
    plain, other = list(range(1000)), list(range(1000))
    i, j = swapped
    other[i], other[j] = other[j], other[i]
    assert values(top_distance(ranked(plain, other)))["top_distance.fog"] == far


def test_zipf_distance():
    found = values(zipf_distance(ranked([0, 1, 2], [1, 0, 2])))["zipf_distance.fog"]
    assert found == pytest.approx(1 * (1 - 0.5) + 0.5 * (1 - 0.5))
    assert math.isfinite(found)
