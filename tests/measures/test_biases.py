"""Shape bias, spectral passes and bands of noise where the truth is known."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.measures.model.critical_band import critical_band, threshold
from holdfast.measures.model.spectral_bias import spectral_bias
from holdfast.measures.outputs.shape_bias import bias_correlation, coarse, shape_bias
from holdfast.readers.synthetic.shape_texture import shape_texture


def one_hot(y):
    return torch.nn.functional.one_hot(y, 3).double()


def test_bias_by_counting():
    shape = torch.tensor([0, 0, 1, 1, 2, 2])
    texture = torch.tensor([1, 1, 2, 0, 0, 2])
    said = torch.tensor([0, 1, 1, 2, 2, 2])  # the last agrees, the fourth is neither
    bias, by_shape, by_texture = shape_bias(one_hot(said), shape, texture)
    assert (bias.value, bias.n) == (3 / 4, 4)
    assert (by_shape.value, by_texture.value, by_shape.n) == (3 / 5, 1 / 5, 5)


def test_both_rules_of_the_source():
    for cue, value in (("shape", 1.0), ("texture", 0.0)):
        made = shape_texture(600, Dice.of(600), cue=cue)
        assert torch.equal(made.truth.rule(made.x), made.y)
        found = shape_bias(one_hot(made.truth.rule(made.x)), **made.more)
        assert found[0].value == value
    share = (made.more["shape"] == made.more["texture"]).double().mean()
    assert float(share) == pytest.approx(1 / 3, abs=0.06)


def test_coarse_classes_average():
    z = torch.tensor([[0.0, 1.0, 2.0, 5.0]])
    p = z.double().softmax(1)[0]
    got = coarse(z, torch.tensor([0, 0, 1, -1])).exp()[0]
    assert torch.allclose(got, torch.stack([(p[0] + p[1]) / 2, p[2]]))


def test_random_tables_correlate_at_the_stated_rate():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(24, 10, generator=g), torch.randn(24, 10, generator=g)
    low = [c for c in bias_correlation(a, b) if c.chance < 0.05]
    assert len(low) <= 11
    own = bias_correlation(a[:, :1], a[:, :1] ** 3)[0]
    assert own.spearman == pytest.approx(1) and own.chance < 1e-9
    control = a[:, 0] + 0.0
    mixed = bias_correlation(a[:, :1] + 1e-9, a[:, :1], control)[0]
    assert mixed.spearman > 0.99


def wave(frequency: int) -> torch.Tensor:
    line = torch.arange(32) / 32
    return torch.cos(2 * torch.pi * frequency * line).expand(32, 32)


@pytest.mark.parametrize(("frequency", "number"), [(2, 1), (4, 2), (8, 3)])
def test_a_classifier_of_one_wave_has_its_octave_as_band(frequency, number):
    w = wave(frequency)
    y = torch.arange(40) % 2
    x = 0.5 + 0.2 * (2 * y - 1)[:, None, None, None] * w
    batches = Batches(x=x, y=y, size=40)

    def model(images):
        score = (images[:, 0] * w).sum((1, 2))
        return torch.stack([-score, score], 1)

    centre = critical_band(model, batches, spreads=(0.1, 0.2, 0.4, 0.8, 1.6)).readings()[0]
    assert abs(centre.value - number) <= 0.5
    found = spectral_bias(model, batches, cutoffs=(0.1, 0.4, 0.8))
    kept = [2 * frequency <= c * 32 - 2 for c in found.cutoffs]
    assert (found.low.mean(1) == 1).tolist() == kept


def test_thresholds_by_hand():
    s = torch.tensor([0.0, 0.1, 0.4])
    assert threshold(s, torch.tensor([1.0, 0.8, 0.4]), 0.6) == pytest.approx(0.2)
    assert threshold(s, torch.tensor([1.0, 0.5, 0.4]), 0.75) == pytest.approx(0.05)
    assert threshold(s, torch.tensor([1.0, 0.9, 0.9]), 0.6) == float("inf")
