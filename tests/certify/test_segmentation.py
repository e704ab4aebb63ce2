"""Certified segmentation on pixels whose class probabilities are known."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom

from holdfast.certify.smoothing.segmentation import Segmentation
from holdfast.certify.smoothing.segments import information_gain
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import AtLeast, Pixels, Untargeted
from holdfast.defend.smoothed import smoothed
from holdfast.threats.norms import L2, LInf

SIDE = 8
TREE = torch.tensor([[0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 0]])


def world(shares: torch.Tensor):  # type: ignore[no-untyped-def]
    """A model whose pixel i has class c in a known share of noisy copies, whatever the input.

    Each pixel reads one number of the input, which is far wider spread than its stripes.
    """
    edges = shares.cumsum(-1)

    def model(x: torch.Tensor) -> torch.Tensor:
        place = (x.flatten(1) * 1e4) % 1
        chosen = (place[..., None] > edges[:-1]).sum(-1).view(-1, SIDE, SIDE)
        return torch.nn.functional.one_hot(chosen, len(edges)).double()

    return smoothed(model, sigma=0.25)


def inputs(rows: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(2)
    return torch.rand(rows, 1, SIDE, SIDE, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("correction", ["bonferroni", "holm"])
def test_family_wise_error_at_the_limit(correction: str) -> None:
    """Every pixel's share is tau itself: a row is wrong if any of its 64 pixels is certified."""
    rows, alpha = 400, 0.1
    model = world(torch.tensor([0.75, 0.25, 0.0, 0.0]))
    certifier = Segmentation(correction=correction, alpha=alpha)
    found = certifier.segments(model, inputs(rows), Dice.of(rows))
    wrong = int(found.certified.flatten(1).any(1).sum())
    assert wrong <= binom.ppf(1 - 1e-5, rows, alpha)
    assert wrong > 0


def test_siblings_are_certified_as_their_group_only() -> None:
    model, x = world(torch.tensor([0.47, 0.47, 0.03, 0.03])), inputs(30)
    flat = Segmentation().segments(model, x, Dice.of(30))
    assert not flat.certified.any()
    tree = Segmentation(hierarchy=TREE, thresholds=(0.0, 0.9))
    found = tree.segments(model, x, Dice.of(30))
    assert (found.level == 1).double().mean() > 0.9
    assert found.certified[found.level == 1].double().mean() > 0.9
    assert not found.certified[found.level == 0].any()
    y = torch.zeros(30, SIDE, SIDE, dtype=torch.long)
    assert (
        information_gain(found, y, TREE).mean()
        > 0.4
        > 0.0
        == information_gain(flat, y, TREE).mean()
    )
    assert not information_gain(found, y + 2, TREE).any()  # the other group
    # Groups do not prove that the label is kept.
    assert not tree(model, x, Pixels(y), L2(radius=0.0)).proved.any()


def test_thresholds_of_zero_are_single_classes() -> None:
    model, x = world(torch.tensor([0.9, 0.1, 0.0, 0.0])), inputs(10)
    flat = Segmentation().segments(model, x, Dice.of(10))
    same = Segmentation(hierarchy=TREE, thresholds=(0.0, 0.0)).segments(model, x, Dice.of(10))
    assert torch.equal(flat.certified, same.certified)
    assert torch.equal(flat.node, same.node)
    y = torch.zeros(10, SIDE, SIDE, dtype=torch.long)
    share = (flat.certified & (flat.node == 0)).double().flatten(1).mean(1)
    assert torch.allclose(information_gain(flat, y, TREE), share)
    holm = flat.certified
    few = Segmentation(correction="bonferroni").segments(model, x, Dice.of(10)).certified
    assert (holm | ~few).all()


def test_the_margin_counts_labelled_positions() -> None:
    """Pixels of a linear model, each with its own distance; the goal asks for a share of them."""
    offset = torch.linspace(-0.5, 0.5, SIDE * SIDE, dtype=torch.float64)

    def model(x: torch.Tensor) -> torch.Tensor:
        score = (x.flatten(1) - 0.5 + offset).view(-1, SIDE, SIDE)
        return torch.stack([-score, score], -1)

    x, sigma = torch.full((2, 1, SIDE, SIDE), 0.5, dtype=torch.float64), 0.2
    certifier = Segmentation(samples=2000, selection=100, alpha=0.01)
    y = (offset > 0).long().view(1, SIDE, SIDE).repeat(2, 1, 1)
    smooth, reach = smoothed(model, sigma=sigma), sigma * 0.6744897501960817
    found = certifier.segments(smooth, x, Dice.of(2))
    assert found.radius == pytest.approx(reach)
    distance = offset.abs().view(SIDE, SIDE)
    assert not found.certified[:, distance < reach].any()
    assert found.certified[:, distance > 1.3 * reach].all()
    kept = int(found.certified[0].sum())
    at = 1 - (kept - 1) / 64, 1 - (kept + 1) / 64  # the adversary needs more than is left, or less
    for share, good in zip(at, (True, False), strict=True):
        proof = certifier(smooth, x, Pixels(y, share), L2(radius=0.9 * reach))
        assert bool(proof.proved[0]) == good
    assert not certifier(smooth, x, Pixels(y, at[0]), L2(radius=1.1 * reach)).proved.any()
    wrong = y.clone()
    wrong[0] = 1 - wrong[0]
    proof = certifier(smooth, x, Pixels(wrong, at[0]), L2(radius=0.0))
    assert proof.proved.tolist() == [False, True]
    none = torch.full_like(y, -100)
    assert not certifier(smooth, x, Pixels(none), L2(radius=0.0)).proved.any()


def test_refusals() -> None:
    model, x = world(torch.tensor([0.9, 0.1, 0.0, 0.0])), inputs(2)
    y = torch.zeros(2, SIDE, SIDE, dtype=torch.long)
    for args in (
        (model.base, Pixels(y), L2()),
        (model, Pixels(y), LInf()),
        (model, AtLeast(torch.zeros(2)), L2()),
    ):
        with pytest.raises(Unsupported):
            Segmentation()(args[0], x, args[1], args[2])
    with pytest.raises(ShapeError):
        Segmentation()(model, x, Untargeted(y[:, 0, 0]), L2())
    for tree, thresholds in ((TREE, (0.1,)), (TREE, (0.5, 0.1)), (TREE[1:], (0.1,))):
        with pytest.raises(ShapeError):
            Segmentation(hierarchy=tree, thresholds=thresholds).segments(model, x, Dice.of(2))
    split = torch.tensor([[0, 1, 2, 3], [0, 0, 1, 1], [0, 1, 1, 1]])
    with pytest.raises(ShapeError):
        Segmentation(hierarchy=split, thresholds=(0.1, 0.2)).segments(model, x, Dice.of(2))
