"""A gate against artefacts, on volumes whose scale changes."""

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.detect.artefact import ArtefactGate, spoiled
from holdfast.layers.densenet import DenseNet3d, normalised
from holdfast.testing.worlds.phantoms import phantoms


def volumes(count):
    x = phantoms(count, Dice.of(count, 3), (4, 10, 10))
    return Batches(x=x, y=torch.zeros(count).long(), size=16)


def test_volumes_are_normalised_inside():
    x = volumes(3).x
    out = normalised(x)
    for row, seen in zip(x, out, strict=True):
        inside = row > row.max() / 20
        assert float(seen[inside].mean()) == pytest.approx(0, abs=1e-4)
        assert float(seen[inside].std(unbiased=False)) == pytest.approx(1, abs=1e-3)
    assert torch.allclose(normalised(0.3 * x), out, atol=1e-3)
    assert normalised(torch.zeros(1, 1, 2, 2, 2)).isfinite().all()


def test_the_score_does_not_depend_on_the_scale_and_belongs_to_the_row():
    data = volumes(24)
    gate = ArtefactGate(epochs=1, growth=2, blocks=(1, 1), kinds=("ghosting",))
    score = gate.fit(nn.Identity(), data)
    found = score(data.x)
    assert found.shape == (24,)
    assert torch.allclose(score(0.5 * data.x), found, atol=1e-2)
    assert torch.allclose(score(data.x[3:5]), found[3:5], atol=1e-4)
    assert torch.equal(gate.fit(nn.Identity(), data)(data.x), found)
    bad = data.x[:1].clone()
    bad[0, 0, 0, 0, 0] = float("nan")
    assert score(bad).item() == float("inf")
    with pytest.raises(Unsupported):
        gate.fit(nn.Identity(), Batches(x=data.x[:, :, 0], y=data.y))


def test_each_volume_is_spoiled_once():
    data = volumes(30)
    bad = spoiled(data, ("bias-field", "noise"), Dice.of(30))
    assert (bad.x != data.x).flatten(1).any(1).all()
    assert set(bad.more["level"].tolist()) == {1, 2, 3, 4, 5}


def test_the_net_halves_between_blocks():
    net = DenseNet3d(3, growth=2, blocks=(1, 2, 1))
    assert net(torch.rand(2, 1, 5, 9, 8)).shape == (2, 3)
