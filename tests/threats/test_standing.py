"""A threat that knows its inputs answers what it would have computed, and asks torch less."""

from __future__ import annotations

import pytest
import torch
from tests.operations import Operations
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.threats.ball import Additive, at, staying
from holdfast.threats.norms import L1, L2, LInf
from holdfast.threats.onward import onward
from holdfast.threats.sparse import L0

SHIFTED = LInf(low=0.1, high=0.7)
THREATS = [LInf(radius=0.3), L2(radius=0.9), L1(radius=1.5), L0(radius=2.0), SHIFTED]


def inputs(outside: bool) -> Tensor:
    x = torch.rand(9, 2, 3, generator=torch.Generator().manual_seed(4))
    return x * 1.4 - 0.2 if outside else x * 0.5 + 0.15


def answers(threat: Additive, x: Tensor, kind: torch.dtype = torch.float32) -> list[Tensor]:
    change = threat.sample(x, Dice.of(len(x))).to(kind)
    slope = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(kind)
    moved = onward(threat, x, change, slope, 0.4)
    return [
        threat.apply(x, change), threat.project(x, 3 * change), threat.steepest(x, change, slope),
        threat.along(x, change, slope), moved, threat.apply(x, moved), threat.size(x, moved),
    ]  # fmt: skip


def alike(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(u, v) and u.dtype == v.dtype for u, v in zip(a, b, strict=True))


@pytest.mark.parametrize("threat", THREATS, ids=lambda t: t.spec)
@pytest.mark.parametrize("outside", [False, True])
def test_what_is_kept_is_what_would_be_computed(threat: Additive, outside: bool) -> None:
    x = inputs(outside)
    known, rows = at(threat, x), torch.tensor([1, 4, 5, 8])
    assert isinstance(known, Additive) and known == threat
    assert alike(answers(known, x), answers(threat, x))
    assert alike(answers(known, x, torch.float64), answers(threat, x, torch.float64))
    for some in (rows, slice(2, 6)):
        part = staying(known, some, x[some])
        assert isinstance(part, Additive) and part._standing is not None
        assert alike(answers(part, part._standing.x), answers(threat, x[some]))


@pytest.mark.parametrize("threat", THREATS, ids=lambda t: t.spec)
def test_other_inputs_are_looked_at_themselves(threat: Additive) -> None:
    known, other = at(threat, inputs(False)), inputs(True)
    assert isinstance(known, Additive)
    assert alike(answers(known, other), answers(threat, other))
    assert alike(answers(known.scaled(0.5), other), answers(threat.scaled(0.5), other))


def test_a_step_within_a_known_box_is_two_operations_to_apply_and_two_to_project() -> None:
    x, threat = inputs(False), LInf(radius=0.3)
    change, known = torch.full_like(x, 0.1), at(threat, x)
    with Operations() as seen:
        known.project(x, known.apply(x, change) - x)
    assert seen.count.total() == 5, seen.count
