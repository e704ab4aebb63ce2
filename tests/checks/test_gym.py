"""Slices and what is said of them, against loops and sets."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import fisher_exact

from holdfast.checks.gym.bench import TestBench
from holdfast.checks.gym.lines import lines
from holdfast.checks.gym.slice import Slice
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.records import Severity, Subject
from holdfast.measures.data.subpopulations import Cached, cut, jaccard, overlap, tokens
from holdfast.ops.multiple import benjamini_hochberg
from holdfast.testing.worlds import Images, two_class
from holdfast.testing.worlds.reviews import Reader, reviews
from holdfast.threats.norms import LInf


def test_percentiles_cut_into_parts() -> None:
    for score in (torch.rand(101), torch.randint(4, (50,)).double(), torch.zeros(7)):
        masks = torch.stack([m for _, m in cut(score, (0, 10, 50, 90, 100))])
        assert bool((masks.sum(0) == 1).all())
    names = [n for n, _ in cut(torch.rand(9), (0, 50, 100))]
    assert names == ["0%-50%", "50%-100%"]
    values = torch.tensor([0.0, 1.0, 2.0, 3.0, float("nan")])
    found = [m.tolist() for _, m in cut(values, (0, 2, 3), percent=False)]
    assert found == [[True, True, False, False, False], [False, False, True, True, False]]
    with pytest.raises(ConfigError):
        cut(values, (1, 1))


def test_algebra_is_that_of_sets() -> None:
    data = reviews(40)
    a, b = torch.rand(40) < 0.5, torch.rand(40) < 0.5
    one, two = Slice.where("a", data, a), Slice.where("b", data, b)
    rows = [set(m.nonzero().flatten().tolist()) for m in (a, b)]
    for made, wanted in ((one | two, rows[0] | rows[1]), (one & two, rows[0] & rows[1]),
                         (~one, set(range(40)) - rows[0])):  # fmt: skip
        assert set(made.data.index.tolist()) == wanted and len(made) == len(wanted)
    with pytest.raises(ConfigError, match="different data"):
        one | Slice.where("c", reviews(40), a)


def test_words_by_hand() -> None:
    assert tokens("It isn't GOOD, is it?") == ("it", "is", "n't", "good", "is", "it")
    assert jaccard("a b", "b c") == pytest.approx(1 / 3) and jaccard("", "") == 0
    pairs = Batches(x=["a b\tb c", "x\tx"], y=torch.zeros(2).long())
    assert overlap()(pairs).tolist() == pytest.approx([1 / 3, 1])
    with pytest.raises(Unsupported):
        overlap()(reviews(3))
    operation = Cached(tokens)
    first = [operation(t) for t in ("a", "b", "a")]
    assert operation.calls == 2 and [operation(t) for t in ("a", "b", "a")] == first
    assert operation.calls == 2


def test_benjamini_hochberg_by_hand() -> None:
    p = torch.tensor([0.039, 0.001, 0.041, 0.008, 0.2, float("nan")])
    # 0.05 k / 6: 0.0083, 0.0167, 0.025, 0.033, ...: 0.001 and 0.008 are below
    assert benjamini_hochberg(p).tolist() == [False, True, False, True, False, False]
    # a larger one that passes takes smaller ones with it
    assert benjamini_hochberg(torch.tensor([0.04, 0.049, 0.03])).all()
    assert len(benjamini_hochberg(torch.tensor([]))) == 0


def test_lines_agree_with_fisher_and_loops() -> None:
    world = two_class(rows=40)
    y = torch.where(torch.arange(40) % 4 == 0, 1 - world.y, world.y)
    data, mask = Batches(x=world.x, y=y), torch.arange(40) % 3 == 0
    right, (line,) = lines(world.model, data, [Slice.where("third", data, mask)])
    table = [[int(right[m].sum()), int((~right[m]).sum())] for m in (mask, ~mask)]
    assert line.p == pytest.approx(fisher_exact(table, "less").pvalue)
    assert line.right.tolist() == right[mask].tolist()


def test_images_and_attacks_get_the_same_table() -> None:
    world = Images.make(rows=30)
    data = Batches(x=world.x.float(), y=world.y)
    model = world.model.float()
    (found,) = TestBench(attacks=("attack:fgsm",), sets={"more": data})(
        Subject(model=model, batches=data, threats=(LInf(radius=0.2),))
    )
    kinds = {r["kind"] for r in found.figures[0].rows}
    assert kinds == {"subpopulation", "transformation", "evaluation set", "attack"}
    assert "negation" in found.says and "typo" in found.says
    hit = next(r for r in found.figures[0].rows if r["kind"] == "attack")
    assert (
        hit["accuracy"]
        <= next(r for r in found.figures[0].rows if r["slice"] == "more")["accuracy"]
    )


def test_what_cannot_be_sliced_is_refused() -> None:
    with pytest.raises(ConfigError, match="words"):
        TestBench(scores=("word",))
    bag = Reader.fit(reviews(100))
    with pytest.raises(Unsupported):
        list(TestBench(scores=(), shifts=())(Subject(model=bag, batches=reviews(20))))
    perfect = Reader.fit(reviews(400), "pairs")
    (found,) = TestBench(shifts=())(Subject(model=perfect, batches=reviews(100, 1)))
    assert found.severity == Severity.GOOD
