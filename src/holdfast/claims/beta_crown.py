"""beta-CROWN: decides small networks as mixed-integer programming does."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward
from holdfast.certify.linear.prepare import Question, prepare
from holdfast.certify.search import pairs
from holdfast.certify.search.branching import divided
from holdfast.certify.search.complete import decided
from holdfast.certify.search.milp import worst_way
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.claims.deep_nets import deep_net
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Untargeted
from holdfast.threats.norms import LInf

NETS, HIDDEN = 50, 8
SECONDS, PARTS = 60.0, 1000  # of one network; who needs more has not decided it
EVEN = 1e-6  # worst margins below which nothing can be told from a solver's number
_divided = divided


def _wrong_sign(*args: Any, push: Any = None, **named: Any) -> Any:
    """Bug: a split neuron's condition enters with the opposite sign."""
    return backward(*args, push={i: -v for i, v in (push or {}).items()}, **named)


def _one_half(signed: Signed, parts: Splits) -> tuple[Splits, Tensor]:
    """Bug: the second half of each part counts as proved."""
    halves, index = _divided(signed, parts)
    halves.bound[len(parts) :] = torch.inf
    return halves, index


def _question(seed: int) -> Question:
    """A random network of two hidden layers, an input of it and a random radius."""
    g = torch.Generator().manual_seed(seed)
    model = deep_net(g, HIDDEN)
    x = 0.2 + 0.6 * torch.rand(1, 2, generator=g, dtype=torch.float64)
    radius = 0.05 + 0.45 * float(torch.rand((), generator=g))
    with torch.no_grad():
        goal = Untargeted(model(x).argmax(1))
    found = prepare(model, x, goal, LInf(radius=radius))
    if found is None:
        raise RuntimeError("a world without rows")
    return found


@cache
def _worst(seed: int) -> float:
    """The worst margin by a solver that shares no search with what is tried."""
    found = worst_way(_question(seed), 0, 60.0)
    return float("nan") if found is None else found


def trial(seed: int, mutant: str = "") -> Trial:
    """Number of networks that both decide alike, up to the first on which they differ."""
    alike = 0
    with ExitStack() as stack:
        stack.enter_context(patch("holdfast.certify.search.branch.sought", lambda *a: None))
        if mutant == "wrong-sign":
            stack.enter_context(patch.object(pairs, "backward", _wrong_sign))
        if mutant == "one-half":
            stack.enter_context(patch("holdfast.certify.search.branch_relu.divided", _one_half))
        for k in range(NETS):
            worst = _worst(NETS * seed + k)
            found = decided(_question(NETS * seed + k), 0, 0.0, SECONDS, PARTS, signs=True)
            if abs(worst) >= EVEN and found.answer != ("sat" if worst > 0 else "unsat"):
                break
            alike += 1
    return Trial(float(alike), float(NETS), alike == NETS)


CLAIM = Claim(
    paper="beta-crown",
    methods=("certifier:beta-crown",),
    says="Branch and bound over signs decides 200 networks 2-8-8-2 as a mixed-integer solver does.",
    left="networks decided as the solver does, without a search for counterexamples beside it",
    right="networks",
    trial=trial,
    mutants=("wrong-sign", "one-half"),
    seconds=90,
    seeds=(0, 1, 2, 3),
    quick=False,
)
