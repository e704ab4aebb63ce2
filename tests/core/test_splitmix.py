"""The hash behind the draws: its definition word by word, its pieces, what it must look like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from scipy.stats import chisquare, kstest

from holdfast.core import splitmix
from holdfast.core.dice import Dice
from holdfast.core.splitmix import draw, number

WORD = (1 << 64) - 1


def scrambled(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB & WORD
    return z ^ z >> 31


def hashed(key: int, start: int, place: int) -> int:
    base = scrambled((key * 0x9E3779B97F4A7C15 + start) & WORD)
    return scrambled(scrambled((base + place * 0x9E3779B97F4A7C15) & WORD))


def test_draws_follow_their_definition_word_by_word() -> None:
    keys = torch.tensor([0, 5, -3, 2**62])
    for seed, call in ((0, 0), (-7, 1)):
        dice = Dice(seed, keys, "s")
        for _ in range(call):
            dice.uniform()
        start = number(seed, "s", call)
        words = [[hashed(int(k), start, j) for j in range(6)] for k in keys]
        copies = [Dice(seed, keys, "s") for _ in range(3)]
        for one in copies:
            one._calls[0] = call
        u = [[(w >> 11) * 2.0**-53 for w in row] for row in words]
        assert copies[0].uniform((2, 3), dtype=torch.float64).flatten(1).tolist() == u
        whole = [[(w >> 33) * 9 >> 31 for w in row] for row in words]
        assert copies[1].integers(9, (6,)).tolist() == whole
        z = ndtri((np.array([[w >> 11 for w in row] for row in words]) + 0.5) * 2.0**-53)
        assert np.allclose(copies[2].normal((6,)).numpy(), z, rtol=1e-7, atol=0)


def test_every_device_gives_the_bits_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def there(out: torch.Tensor, *rest: object) -> None:
        keys, start, finish = rest
        whole = torch.from_numpy(keys.view(np.int64))  # type: ignore[attr-defined]
        splitmix.on_device(out, whole, start, finish)  # type: ignore[arg-type]

    host = [Dice.of(5, 3).normal((70,)), Dice.of(5, 3).uniform((7,)), Dice.of(5).integers(9)]
    monkeypatch.setattr(splitmix, "_on_host", there)
    away = [Dice.of(5, 3).normal((70,)), Dice.of(5, 3).uniform((7,)), Dice.of(5).integers(9)]
    assert all(torch.equal(a, b) for a, b in zip(host, away, strict=True))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (63,), (64,), (65,), (200,)])
def test_pieces_change_nothing(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [Dice.of(9).uniform(shape), Dice.of(9).normal(shape), Dice.of(9).integers(5, shape)]
    monkeypatch.setattr(splitmix, "PIECE", 64)
    parts = [Dice.of(9).uniform(shape), Dice.of(9).normal(shape), Dice.of(9).integers(5, shape)]
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))
    assert Dice.of(0).normal(shape).shape == (0, *shape)


def test_bits_are_fair_and_know_nothing_of_each_other() -> None:
    """Each bit is one half of the time; a change of key, place or start flips half of the bits."""

    def bits(keys: torch.Tensor, start: int) -> np.ndarray:
        out = torch.empty(len(keys), 64, dtype=torch.int64)
        draw(out, keys, start, lambda z, to: to.copy_(z))
        return np.unpackbits(out.numpy().view(np.uint8)).reshape(len(keys), 64, 64)

    keys = torch.arange(500)
    one = bits(keys, 1)
    others = [one[:, :-1], one[1:], one[:, 1:], bits(keys, 2), bits(keys ^ 1, 1)]
    assert abs(one.mean((0, 1)) - 0.5).max() < 5 * 0.5 / 32000**0.5
    for a, b in ((one[:, 1:], others[0]), (one[:-1], others[1]), (one, others[3])):
        flips = (a ^ b).mean((0, 1))
        assert abs(flips - 0.5).max() < 5 * 0.5 / (a.size / 64) ** 0.5
    assert (one ^ others[4]).sum(2).min() > 8  # of 64; a chance of 1e-10 for each of 32,000


def test_long_rows_are_uniform_and_normal() -> None:
    """Moments to the fourth, the whole distribution, and counts in the tails, of a million."""
    draws = Dice.of(4, 11).normal((250_000,)).double()
    z, n = draws.flatten(), draws.numel()
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((z**power).mean()) - moment) < 5 * (spread / n) ** 0.5
    assert kstest(z[::10].numpy(), "norm").pvalue > 1e-3
    assert 4.4 < float(z.abs().max()) < 6.5
    u = Dice.of(4, 12).uniform((250_000,)).flatten()
    assert kstest(u[::10].numpy(), "uniform").pvalue > 1e-3
    pairs = (u.view(4, -1, 2) * 32).long()  # serial: pairs of neighbours on a grid
    cells = torch.bincount((pairs[..., 0] * 32 + pairs[..., 1]).flatten(), minlength=1024)
    assert chisquare(cells.numpy()).pvalue > 1e-3
    rows = torch.corrcoef(draws) - torch.eye(4)
    assert float(rows.abs().max()) < 5 / 250_000**0.5
