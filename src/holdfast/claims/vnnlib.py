"""VNN-LIB: properties as text are decided as a fine grid of inputs says."""

from __future__ import annotations

import random
from dataclasses import replace

import torch
from torch import Tensor, nn

from holdfast.certify.properties.property import Property
from holdfast.certify.properties.verify import verify
from holdfast.claims.harness import Claim, Trial
from holdfast.readers.vnnlib import parse_property

ASKED = 8
GRID = 81
HEAD = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0", "Y_1", "Y_2"))


def _net(seed: int) -> nn.Sequential:
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    return model.eval()


def _text(rng: random.Random, y: Tensor) -> str:
    """Two boxes of inputs, each with its own limits; the limits lie around what outputs reach."""
    parts = []
    for low, high in ((-1.0, 0.0), (0.25, 1.0)):
        one, two = rng.sample(range(3), 2)
        top = float((y[:, one] - y[:, two]).max()) * rng.choice([0.6, 1.4])
        level = float(y[:, two].quantile(rng.random()))
        parts.append(
            f"(and (>= X_0 {low}) (<= X_0 {high}) (>= (+ Y_{one} (* -1.0 Y_{two})) {top!r}) "
            f"(or (<= Y_{two} {level!r}) (>= Y_{two} {level + 0.5!r})))"
        )
    return f"{HEAD}(assert (>= X_1 -1.0))\n(assert (<= X_1 1.0))\n(assert (or {' '.join(parts)}))"


def _altered(text: str, mutant: str) -> Property:
    """The property as a reader with a bug would see it."""
    if mutant == "reads-or-as-and":
        return parse_property(text.replace("(or (<=", "(and (<="))
    prop = parse_property(text)
    if mutant == "forgets-the-last-box":
        return replace(prop, cases=prop.cases[:1])
    return prop


def trial(seed: int, mutant: str = "") -> Trial:
    """How many answers a grid does not contradict, of all that were asked for."""
    model, rng = _net(seed), random.Random(seed)
    axis = torch.linspace(-1, 1, GRID)
    x = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        y = model(x)
    agree = decided = 0
    for _ in range(ASKED):
        text = _text(rng, y)
        truth = parse_property(text)
        reached = any(
            truth.holds(a, b) for a, b in zip(x.tolist(), y.double().tolist(), strict=True)
        )
        found = verify(model, _altered(text, mutant), timeout=5.0)
        decided += found.answer != "unknown"
        witness = found.witness
        shown = witness is not None and truth.holds(witness.x, witness.y)
        agree += found.answer == "unsat" and not reached
        agree += found.answer == "sat" and shown
    return Trial(agree, decided, agree == decided and decided > ASKED / 2)


CLAIM = Claim(
    paper="vnnlib",
    methods=(),
    says="Answers to properties with alternatives of inputs and outputs are never contradicted by "
    "a grid of inputs, and every witness satisfies the text exactly.",
    left="answers in agreement, of 8 properties",
    right="answers given",
    trial=trial,
    mutants=("reads-or-as-and", "forgets-the-last-box"),
    seconds=20,
    seeds=(0, 1),
)
