"""Synthetic rows follow the distribution that their truth states."""

import torch
from scipy.stats import norm

from holdfast.core.dice import Dice
from holdfast.readers import read_data
from holdfast.readers.synthetic.blobs import blobs
from holdfast.readers.synthetic.stripes import stripes


def test_the_best_rule_of_blobs_is_as_good_as_computed():
    made = blobs(20000, Dice.of(20000, 1))
    rate = norm.cdf(0.25 / 0.08) ** 2  # both coordinates on their side of the middle
    right = (made.truth.rule(made.x) == made.y).double().mean()
    assert abs(float(right) - rate) < 4 * (rate * (1 - rate) / 20000) ** 0.5


def test_blobs_have_the_centres_and_the_spread_that_they_state():
    made = blobs(8000, Dice.of(8000, 2))
    for k, centre in enumerate(made.truth.centres):
        own = made.x[made.y == k]
        assert torch.allclose(own.mean(0), centre, atol=0.006)
        assert torch.allclose(own.std(0), torch.full((2,), made.truth.spread), atol=0.004)


def test_turning_stripes_turns_their_class():
    made = stripes(200, Dice.of(200, 0))
    assert torch.equal(made.truth.rule(made.x.transpose(2, 3)), 1 - made.y)


def test_read_by_name():
    made = read_data("synthetic:stripes:30", seed=5)
    assert torch.equal(made.x, stripes(30, Dice.of(30, 5, "source")).x)
    assert made.truth.inner.contrast.shape == (30,) and made.truth.name == "synthetic:stripes"
