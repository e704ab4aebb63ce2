"""Wrong labels have the chances that they state."""

import numpy as np
import pytest
import torch

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.shifts.label_noise import mislabelled

KINDS = ("symmetric", "asymmetric", "instance-dependent")


def rows(n: int, classes: int = 4, side: int = 12) -> Batches:
    x = torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(0))
    return Batches(x=x, y=torch.arange(n) % classes)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_wrong_as_often_as_their_chances_say(kind):
    made = mislabelled(rows(8000), kind, 0.3, Dice.of(8000, 1))
    chances, clean = made.truth.chances, made.truth.clean
    assert torch.equal(made.more["clean"], clean) and torch.equal(clean, torch.arange(8000) % 4)
    assert torch.allclose(chances.sum(1), torch.ones(8000).double())
    stays = chances.gather(1, clean[:, None])[:, 0]
    assert abs(float(stays.mean()) - 0.7) < 0.004
    for true in range(4):  # against the mean of the stated chances, within four deviations
        mean = chances[clean == true].mean(0)
        found = torch.bincount(made.y[clean == true], minlength=4) / 2000
        assert bool(((found - mean).abs() <= 4 * (mean * (1 - mean) / 2000).sqrt() + 1e-12).all())


def test_symmetric_and_asymmetric_chances_are_the_formulas():
    own, base = torch.eye(4).double(), rows(8)
    even = mislabelled(base, "symmetric", 0.3).truth.chances
    assert torch.allclose(even[:4], 0.7 * own + 0.1 * (1 - own))
    swapped = mislabelled(base, "asymmetric", 0.3, partners=(1, 0, 3, 2)).truth.chances
    assert torch.allclose(swapped[:4], 0.7 * own + 0.3 * own[[1, 0, 3, 2]])
    onward = mislabelled(base, "asymmetric", 1.0)
    assert torch.equal(onward.y, (base.y + 1) % 4)


def test_rows_that_look_alike_go_wrong_alike():
    base = rows(600)
    twice = Batches(x=torch.cat([base.x, base.x]), y=torch.cat([base.y, base.y]))
    made = mislabelled(twice, "instance-dependent", 1.0, Dice.of(1200, 2))
    a, b = made.truth.chances.split(600)
    assert torch.equal(a, b) and float(a.std(0).min()) > 0.05
    assert not bool((made.y == made.truth.clean).any())
    seen = np.corrcoef(np.asarray(a[::4, 1]), np.asarray((made.y[:600:4] == 1).double()))[0, 1]
    assert seen > 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_rate_turns_the_same_rows_and_more(kind):
    base = rows(400)
    few, many = (mislabelled(base, kind, rate) for rate in (0.1, 0.4))
    wrong = few.y != few.truth.clean
    assert 0 < int(wrong.sum()) < int((many.y != many.truth.clean).sum())
    assert torch.equal(few.y[wrong], many.y[wrong])
    assert torch.equal(mislabelled(base, kind, 0.0).y, base.y)


def test_rows_without_a_label_keep_none():
    base = rows(40)
    gaps = Batches(x=base.x, y=torch.where(torch.arange(40) % 5 == 0, -100, base.y))
    for kind in KINDS:
        made = mislabelled(gaps, kind, 1.0)
        assert torch.equal(made.y == -100, gaps.y == -100)
        assert float(made.truth.chances[gaps.y == -100].abs().sum()) == 0


def test_refusals_of_wrong_labels():
    base = rows(8)
    for words in ({"rate": 1.5}, {"rate": 0.1, "partners": (0, 9, 1, 2)}, {"rate": float("nan")}):
        with pytest.raises(ConfigError):
            mislabelled(base, "asymmetric", **words)
    with pytest.raises(ConfigError):
        mislabelled(base, "odd", 0.1)
    with pytest.raises(Unsupported):
        mislabelled(rows(8, classes=1), "symmetric", 0.1)
    with pytest.raises(Unsupported):
        mislabelled(Batches(x=["a", "b"], y=torch.tensor([0, 1])), "instance-dependent", 0.1)
    assert len(mislabelled(base.take(slice(0, 0)), "symmetric", 0.1, classes=4).y) == 0
