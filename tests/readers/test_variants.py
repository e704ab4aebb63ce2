"""Rare classes and misleading cues have the chances that they state."""

import pytest
import torch

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.readers.synthetic.cues import cued
from holdfast.readers.synthetic.long_tail import long_tailed


def rows(n: int, classes: int = 4, side: int = 12) -> Batches:
    x = torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(0))
    return Batches(x=x, y=torch.arange(n) % classes)


def test_a_long_tail_has_the_counts_of_the_formula():
    base = rows(4000)
    tail = long_tailed(base, 100.0, Dice.of(4000, 3))
    assert torch.bincount(tail.y).tolist() == [round(1000 * 100 ** (-k / 3)) for k in range(4)]
    step = long_tailed(base, 10.0, shape="step")
    assert torch.bincount(step.y).tolist() == [1000, 1000, 100, 100]
    assert torch.equal(base.x[tail.index], tail.x) and bool((tail.index.diff() > 0).all())
    wider = long_tailed(base, 10.0, Dice.of(4000, 3))
    assert set(tail.index.tolist()) < set(wider.index.tolist())
    assert torch.bincount(long_tailed(base, 1e9).y).tolist() == [1000, 1, 1, 1]
    assert len(long_tailed(base, 1.0)) == 4000 and len(long_tailed(rows(5, classes=1), 50.0)) == 5
    for ratio in (0.5, float("nan")):
        with pytest.raises(ConfigError):
            long_tailed(base, ratio)


@pytest.mark.parametrize("cue", ["colour", "corner"])
def test_a_cue_agrees_as_often_as_it_should_and_tells_the_class(cue):
    made = cued(rows(4000), 0.9, Dice.of(4000, 4), cue=cue)
    agrees = made.truth.cue == made.y
    assert (
        torch.equal(made.group, agrees.long()) and abs(float(agrees.double().mean()) - 0.9) < 0.02
    )
    wrong = (made.truth.cue - made.y)[~agrees] % 4
    assert torch.bincount(wrong, minlength=4)[1:].min() > 90  # of some 133 each
    looks = made.x if cue == "colour" else (made.x == 1).double()
    middle = torch.stack([looks[made.truth.cue == k].mean(0) for k in range(4)]).flatten(1)
    if cue == "colour":
        middle = torch.stack([m.view(3, -1).mean(1) for m in middle])
        looks = looks.mean((2, 3), keepdim=True)
    near = torch.cdist(looks.flatten(1), middle.to(looks)).argmin(1)
    assert torch.equal(near, made.truth.cue)  # whoever reads the cue alone reads it without error


def test_cues_leave_the_rest_as_it_is():
    base = rows(50)
    tinted = cued(base, 1.0)
    assert torch.allclose(tinted.x.amax(1, keepdim=True), base.x)
    marked = cued(base, 0.0, cue="corner")
    same = marked.x == base.x
    assert torch.equal((~same).sum((1, 2, 3)), torch.full((50,), 4)) and not bool(
        marked.group.any()
    )
    for words in ({"agree": 2.0}, {"agree": 0.5, "cue": "odd"}):
        with pytest.raises(ConfigError):
            cued(base, **words)
    for bad in (rows(5, classes=1), Batches(x=torch.rand(4, 3), y=torch.arange(4))):
        with pytest.raises(Unsupported):
            cued(bad, 0.5)
    assert cued(rows(6, side=1), 0.5, cue="corner").x.shape == (6, 1, 1, 1)
