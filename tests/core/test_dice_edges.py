"""Dice: the same draws whatever surrounds a row, and streams that know nothing of each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ConfigError, ShapeError

N = 4000


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_uniform_draws_stay_below_one(dtype: torch.dtype) -> None:
    draw = Dice.of(N).uniform((50,), dtype=dtype)
    assert draw.dtype == dtype and bool((draw < 1).all()) and bool((draw >= 0).all())
    assert abs(float(draw.double().mean()) - 0.5) < 0.005


def test_draws_do_not_depend_on_chunk_order_active_set_or_shard() -> None:
    keys = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    whole = Dice(5, keys, "s")
    first, second = whole.normal((3,)), whole.uniform()
    for rows in (torch.arange(10), torch.tensor([99, 3, 3, 50]), slice(20, 21), slice(0, 0)):
        part = Dice(5, keys, "s").part(rows)
        assert torch.equal(part.normal((3,)), first[rows])
        assert torch.equal(part.uniform(), second[rows])
    shard = Dice(5, keys[1::2], "s")
    assert torch.equal(shard.normal((3,)), first[1::2])
    active = Dice(5, keys, "s")
    active.normal((3,))
    left = active.take(torch.tensor([7, 1]))
    assert torch.equal(left.uniform(), second[[7, 1]])
    assert len(active._calls) == 1 and active._calls[0] == 2


def test_streams_calls_seeds_and_rows_are_uncorrelated() -> None:
    """All pairs of columns: correlation within five standard errors, also of squares."""
    one = Dice.of(N)
    columns = [
        one.normal(), one.normal(), Dice.of(N, seed=1).normal(), Dice.of(N, seed=-1).normal(),
        Dice.of(N).spawn("a").normal(), Dice.of(N).spawn("b").normal(),
        Dice.of(N).spawn("a").spawn("b").normal(), Dice.of(N).spawn("a/b").normal(),
        Dice.of(N, stream="a").normal(), Dice(0, torch.arange(N) + 1).normal(),
        Dice(0, torch.arange(N) * 2).normal(), Dice(0, -torch.arange(N)).spawn("c").normal(),
        *Dice.of(N).spawn("wide").normal((3,)).T,
    ]  # fmt: skip
    for a, b in combinations(columns, 2):
        shared = {float(v) for v in a} & {float(v) for v in b}
        if len(shared) > N // 10:
            continue  # the same rows under shifted keys, compared by position below
        for f in (lambda t: t, torch.square):
            c = torch.corrcoef(torch.stack([f(a).double(), f(b).double()]))[0, 1]
            assert abs(float(c)) < 5 / N**0.5


def test_neighbouring_rows_and_positions_are_uncorrelated() -> None:
    draw = Dice.of(N).normal((8,), dtype=torch.float64)
    for a, b in (
        (draw[1:], draw[:-1]),
        (draw[:, 1:], draw[:, :-1]),
        (draw[1:, 1:], draw[:-1, :-1]),
    ):
        c = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        assert abs(float(c)) < 5 / a.numel() ** 0.5
    assert draw.unique().numel() == draw.numel()


def test_names_that_join_alike_are_different_streams() -> None:
    made = [
        Dice.of(3).spawn("a").spawn("b"), Dice.of(3).spawn("a/b"), Dice.of(3).spawn("a\\/b"),
        Dice.of(3).spawn("a/").spawn("b"), Dice.of(3).spawn("a").spawn("/b"),
        Dice.of(3).spawn("ab"),
        Dice.of(3).spawn(""), Dice.of(3), Dice.of(3).spawn("").spawn(""),
    ]  # fmt: skip
    draws = [tuple(d.uniform().tolist()) for d in made]
    assert len(set(draws)) == len(draws)
    assert made[0].generator("x").initial_seed() != made[1].generator("x").initial_seed()


def test_seeds_are_numbers_whoever_counted() -> None:
    draw = Dice(3, torch.arange(4)).uniform()
    assert torch.equal(Dice(np.int64(3), torch.arange(4)).uniform(), draw)
    assert torch.equal(Dice(3, torch.arange(4, dtype=torch.int32)).uniform(), draw)
    with pytest.raises(TypeError):
        Dice(3.0, torch.arange(4))


def test_one_row_for_all_moves_on_with_the_rows() -> None:
    dice = Dice(0, torch.tensor([8, 9]))
    first, second = dice.one().uniform(), dice.one().uniform()
    assert first.shape == (1,) and not torch.equal(first, second)
    assert torch.equal(Dice(0, torch.tensor([4])).one().uniform(), first)


def test_integers_cover_their_range_evenly_and_refuse_others() -> None:
    draw = Dice.of(N).integers(7, (10,))
    counts = torch.bincount(draw.flatten(), minlength=7).double()
    expected = counts.sum() / 7
    assert float(((counts - expected) ** 2 / expected).sum()) < 30  # chi-square, 6 degrees
    for high in (0, -1, 2**31 + 1):
        with pytest.raises(ConfigError):
            Dice.of(2).integers(high)


def test_dice_of_other_rows_are_refused() -> None:
    with pytest.raises(ShapeError):
        dice_or(Dice.of(3), 4)
    with pytest.raises(ShapeError):
        Dice(0, torch.rand(3))
    with pytest.raises(ShapeError):
        Dice(0, torch.tensor(3))
