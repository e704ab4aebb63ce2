"""beta-CROWN: decides small networks as enumeration does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward
from holdfast.certify.search import signs
from holdfast.certify.search.branching import divided
from holdfast.certify.search.complete import BetaCROWN
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.claims.harness import Claim, Trial
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf

_divided = divided


def _wrong_sign(*args: Any, push: Any = None, **named: Any) -> Any:
    """Bug: a split neuron's condition enters with the opposite sign."""
    return backward(*args, push={i: -v for i, v in (push or {}).items()}, **named)


def _one_half(signed: Signed, parts: Splits) -> tuple[Splits, Tensor]:
    """Bug: the second half of each part counts as proved."""
    halves, index = _divided(signed, parts)
    halves.bound[len(parts) :] = torch.inf
    return halves, index


def trial(seed: int, mutant: str = "") -> Trial:
    """Number of rows on which both disagree, over several radii."""
    wrong = 0
    with ExitStack() as stack:
        stack.enter_context(patch("holdfast.certify.search.branch.FEW", 0))
        stack.enter_context(patch("holdfast.certify.search.branch.descend", lambda *a, **n: None))
        if mutant == "wrong-sign":
            stack.enter_context(patch.object(signs, "backward", _wrong_sign))
        if mutant == "one-half":
            stack.enter_context(patch("holdfast.certify.search.branch_relu.divided", _one_half))
        for k in range(3):
            world = TinyReLU.make(seed=10 * seed + k, rows=4)
            for radius in (0.1, 0.2):
                found = BetaCROWN()(world.model, world.x, world.goal, LInf(radius=radius))
                worst = world.worst(radius)
                wrong += int((found.proved != (worst < 0)).sum())
                wrong += int((found.margin < worst).sum())
    return Trial(float(wrong), 0.0, wrong == 0)


CLAIM = Claim(
    paper="beta-crown",
    methods=("certifier:beta-crown",),
    says="Branch and bound over signs proves exactly the rows that enumeration finds robust.",
    left="rows decided otherwise than by enumeration, or bounded below their worst margin",
    right="none",
    trial=trial,
    mutants=("wrong-sign", "one-half"),
    seconds=30,
)
