"""Fourier coefficients, influences and stability against closed forms and enumeration."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.measures.data.boolean import (
    boolean_profile,
    canonical_holdout,
    cube,
    degrees,
    fourier,
    frozen,
    influences,
    stability,
)
from holdfast.readers.synthetic.pvr import PVR, pvr


def majority(x):
    return (x.sum(1) > 1.5).long()


def parity(x):
    # As values 1 and -1 the product of the bits: 1 where an even number of them is 0.
    return ((1 - x).sum(1) % 2 == 0).long()


def test_majority_of_three():
    found = boolean_profile(majority, 3)
    c = found.coefficients
    assert torch.allclose(c[[1, 2, 4]], torch.full((3,), 0.5).double())
    assert float(c[7]) == -0.5 and torch.allclose(found.influence, torch.full((3,), 0.5).double())


def test_parity_of_four():
    found = boolean_profile(parity, 4)
    assert float(found.coefficients[15]) == 1 and found.influence.tolist() == [1.0] * 4
    assert stability(found.coefficients, 0.1) == pytest.approx(0.8**4)
    assert degrees(found.coefficients).tolist() == [0, 0, 0, 0, 1]


def test_dictator():
    found = boolean_profile(lambda x: x[:, 2].long(), 4)
    assert found.influence.tolist() == [0, 0, 1, 0]


def test_random_function_against_enumeration():
    g = torch.Generator().manual_seed(0)
    f = torch.randint(2, (64,), generator=g).double() * 2 - 1
    c, rows = fourier(f), cube(6) * 2 - 1
    for t in (0, 5, 37, 63):
        bits = [k for k in range(6) if t >> k & 1]
        assert float(c[t]) == pytest.approx(float((f * rows[:, bits].prod(1)).mean()))
    assert float((c**2).sum()) == pytest.approx(1)
    for k in range(6):
        flipped = f[torch.arange(64) ^ (1 << k)]
        assert float(influences(c)[k]) == pytest.approx(float((f != flipped).double().mean()))
    chance = 0.2
    apart = (rows[:, None] != rows[None]).sum(2)
    joint = chance**apart * (1 - chance) ** (6 - apart) / 64
    assert stability(c, chance) == pytest.approx(float((f[:, None] * f * joint).sum()))


def test_what_a_frozen_bit_costs():
    """The unseen half has four influences, the whole cube two, with half the square one."""
    g = torch.Generator().manual_seed(1)
    f = torch.randint(2, (32,), generator=g).double() * 2 - 1
    c, rows = fourier(f), cube(5) * 2 - 1
    basis = torch.stack(
        [rows[:, [k for k in range(5) if t >> k & 1]].prod(1) for t in range(32)], 1
    )
    for k in range(5):
        guess = basis @ frozen(c, k)
        seen = rows[:, k] > 0
        error, inf = (f - guess) ** 2, float(influences(c)[k])
        assert float(error[seen].max()) < 1e-12
        assert float(error[~seen].mean()) == pytest.approx(4 * inf)
        assert float(0.5 * error.mean()) == pytest.approx(inf)


def test_pvr_is_what_it_says():
    truth = PVR(2, 3, "parity")
    assert truth.size == 8
    row = torch.tensor([[1, 0, 0, 0, 1, 1, 1, 0.0]])  # the pointer says 2: bits 4, 5 and 6
    assert truth.rule(row).tolist() == [1]
    found = boolean_profile(truth.rule, 8).influence[2:]
    assert torch.allclose(found, torch.tensor([1, 2, 3, 3, 2, 1]).double() / 4)
    made = pvr(2000, Dice.of(2000))
    assert float(made.x.mean()) == pytest.approx(0.5, abs=0.02)
    learned, unseen = canonical_holdout(made, 3)
    assert bool((learned.x[:, 3] == 1).all()) and bool((unseen.x[:, 3] == 0).all())
    assert len(learned) + len(unseen) == 2000


def test_aggregators():
    x = torch.tensor([[0, 1.0, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1]])
    rules = {a: PVR(1, 2, a).rule(x).tolist() for a in ("min", "majority", "parity")}
    assert rules == {"min": [1, 0, 1], "majority": [1, 1, 1], "parity": [0, 1, 0]}


def test_too_many_bits():
    with pytest.raises(ConfigError):
        cube(17)
    with pytest.raises(ConfigError):
        fourier(torch.zeros(6))
    assert len(Batches(x=cube(3), y=torch.zeros(8).long())) == 8
