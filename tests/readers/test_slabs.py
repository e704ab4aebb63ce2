"""Slabs and stacked digits: exact properties of the generators."""

from __future__ import annotations

import pytest
import torch
from sklearn.tree import DecisionTreeClassifier

from holdfast.core.dice import Dice
from holdfast.readers.built_in import BUILT_IN
from holdfast.readers.synthetic.slabs import slab_block, slab_class, slabs
from holdfast.readers.synthetic.stacked import block_digits, stacked, two

N, MARGIN = 8000, 0.1


def block(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.arange(N) % 2
    draws = Dice.of(N, 3).uniform((1, 3), dtype=torch.float64)
    return slab_block(y[:, None], draws, count, MARGIN)[:, 0], y


@pytest.mark.parametrize(("count", "cuts"), [(3, 2), (5, 4), (7, 6)])
def test_a_tree_needs_one_cut_per_gap(count, cuts):
    x, y = block(count)
    for leaves, enough in ((cuts + 1, True), (cuts, False)):
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves).fit(x[:, None].numpy(), y.numpy())
        assert (tree.score(x[:, None].numpy(), y.numpy()) == 1.0) is enough
    assert torch.equal(slab_class(x, count, MARGIN), y)
    assert float(x.abs().max()) <= 1


@pytest.mark.parametrize("count", [3, 5, 7])
def test_gaps_between_slabs_are_two_margins(count):
    x, _ = block(count)
    steps = x.sort().values.diff().sort(descending=True).values
    assert torch.allclose(steps[: count - 1], torch.full((count - 1,), 0.2).double(), atol=0.01)
    assert bool((steps[: count - 1] >= 0.2 - 1e-12).all()) and float(steps[count - 1]) < 0.02


def test_published_shares_of_the_slabs():
    x, y = block(5)
    width = (2 - 8 * MARGIN) / 5
    assert float((x[y == 0].abs() <= width / 2).double().mean()) == pytest.approx(0.75, abs=0.02)
    x, y = block(7)
    width = (2 - 12 * MARGIN) / 7
    inner = x[y == 1].abs() <= 1.5 * width + 2 * MARGIN
    assert float(inner.double().mean()) == pytest.approx(0.875, abs=0.02)
    centre = x[y == 0].abs() <= width / 2
    assert float(centre.double().mean()) == pytest.approx(0.5, abs=0.02)


def test_linear_coordinate_and_its_corruption():
    made = slabs(4000, Dice.of(4000), corrupt=0.1)
    first = made.truth.coordinates(made.x)[:, 0]
    clean = ~made.truth.noisy
    assert float(made.truth.noisy.double().mean()) == pytest.approx(0.1, abs=0.02)
    assert float(first[clean].abs().min()) >= MARGIN - 1e-6
    assert float(first[~clean].abs().max()) <= MARGIN + 1e-6
    assert float(((first > 0).long() == made.y).double().mean()) == pytest.approx(0.95, abs=0.02)
    assert bool((made.truth.rule(made.x) == made.y).all())


def test_turned_rows_turn_back():
    plain, turned = slabs(50, Dice.of(50)), slabs(50, Dice.of(50), rotate=True)
    a, b = (m.truth.coordinates(m.x) for m in (plain, turned))
    assert torch.allclose(a, b, atol=1e-5) and not torch.allclose(plain.x, turned.x, atol=0.1)
    assert bool((turned.truth.rule(turned.x) == turned.y).all())


def test_blocks_are_images_of_the_source():
    made = block_digits(40, Dice.of(40))
    data = BUILT_IN["digits"]()
    upper = torch.cdist(made.x[:, :, :8].flatten(1), data.x.flatten(1))
    lower = torch.cdist(made.x[:, :, 8:].flatten(1), data.x.flatten(1))
    assert float(upper.amin(1).max()) < 1e-5 and float(lower.amin(1).max()) < 1e-5
    assert torch.equal(data.y[upper.argmin(1)], made.y)
    assert torch.equal(data.y[lower.argmin(1)], torch.tensor([3, 8])[made.y])


def test_agreement_is_as_asked():
    made = block_digits(4000, Dice.of(4000), agree=0.3)
    share = float((made.truth.upper == made.y).double().mean())
    assert share == pytest.approx(0.3, abs=0.03)


def test_other_digits_and_sizes():
    wide = torch.rand(6, 3, 5, 4)
    pair = (wide, torch.tensor([0, 0, 1, 1, 1, 1]))
    made = stacked(pair, pair, 9, Dice.of(9))
    assert made.x.shape == (9, 3, 10, 4) and len(made.truth.block(made.x)) == 60
    with pytest.raises(Exception, match="do not both occur"):
        two(BUILT_IN["digits"](), (3, 42))
