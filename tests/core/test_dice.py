"""Draws belong to rows: the same under any chunking, order or active set."""

import torch
from scipy.stats import kstest

from holdfast.core.dice import Dice


def test_rows_keep_their_draws() -> None:
    whole, parts = Dice.of(10, seed=3), Dice.of(10, seed=3)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    first = whole.uniform((4,))
    again = parts.part(order).uniform((4,))
    assert torch.equal(first[order], again)


def test_active_set_counts_together_and_chunks_apart() -> None:
    a, b = Dice.of(6), Dice.of(6)
    active = torch.tensor([1, 4])
    a.uniform(())
    second = a.take(active).normal((2,))
    b.uniform(())
    assert torch.equal(b.normal((2,))[active], second)
    c = Dice.of(6)
    left, right = c.part(slice(0, 3)).uniform((2,)), c.part(slice(3, 6)).uniform((2,))
    assert torch.equal(torch.cat([left, right]), Dice.of(6).uniform((2,)))


def test_streams_seeds_and_calls_differ() -> None:
    d = Dice.of(50)
    draws = [d.uniform(()), d.uniform(()), d.spawn("x").uniform(()), Dice.of(50, 1).uniform(())]
    for i, a in enumerate(draws):
        for b in draws[i + 1 :]:
            assert not torch.isclose(a, b).any()


def test_distributions() -> None:
    d = Dice.of(200, seed=7)
    assert kstest(d.uniform((50,), dtype=torch.float64).flatten().numpy(), "uniform").pvalue > 1e-3
    assert kstest(d.normal((50,), dtype=torch.float64).flatten().numpy(), "norm").pvalue > 1e-3
    counts = d.integers(7, (100,)).flatten().bincount(minlength=7)
    assert len(counts) == 7
    assert ((counts - 20000 / 7).abs() < 5 * (20000 / 7) ** 0.5).all()


def test_global_state_is_untouched() -> None:
    before = torch.random.get_rng_state()
    d = Dice.of(3)
    d.normal((2,))
    d.generator("bulk")
    assert torch.equal(before, torch.random.get_rng_state())


def test_bulk_generator_repeats() -> None:
    a = torch.randperm(20, generator=Dice.of(0, 5).generator("o"))
    b = torch.randperm(20, generator=Dice.of(0, 5).generator("o"))
    assert torch.equal(a, b)
    assert not torch.equal(a, torch.randperm(20, generator=Dice.of(0, 6).generator("o")))
