"""A priced shortfall in logits breaks a distilled net as easily as the net itself."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.attacks.cw import CW
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.shortest import flat, lengths, scene
from holdfast.claims.small_net import digits
from holdfast.core.kinds import Model
from holdfast.threats.norms import L2

HEAT, ROWS, STEPS = 20.0, 16, 300


def _descended(seed: int, soft: Tensor | None) -> nn.Sequential:
    """A net trained at a high temperature, on labels or on another net's soft answers."""
    train, _ = digits(seed)
    g = torch.Generator().manual_seed(seed if soft is None else seed + 1)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * (0.15 if p.dim() > 1 else 0.0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    goal = train.y if soft is None else soft
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(flat(train)) / HEAT, goal).backward()
        optimizer.step()
    model.zero_grad()
    return model.eval()


@cache
def distilled(seed: int) -> nn.Sequential:
    """A net that learned another's answers at the same temperature, used without it."""
    teacher = _descended(seed, None)
    with torch.no_grad():
        soft = torch.softmax(teacher(flat(digits(seed)[0])) / HEAT, 1)
    return _descended(seed, soft)


def _probabilities(model: Model) -> Model:
    """Mutant: what is priced is a shortfall in probabilities, which are all 0 or 1."""
    return lambda x: torch.softmax(model(x), 1)  # type: ignore[arg-type]


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean length on the distilled net against that on the plain one, rows right under both."""
    plain, x, goal = scene(seed, 3 * ROWS)
    hard = distilled(seed)
    with torch.no_grad():
        rows = (goal(hard(x)) < 0).nonzero().flatten()[:ROWS]
    x, goal, threat = x[rows], goal.take(rows), L2(radius=1.0)
    attack = CW(steps=100, rate=0.05, rounds=1 if mutant == "never-raises-the-price" else 7)
    seen = _probabilities(hard) if mutant == "prices-probabilities" else hard
    mine, won = lengths(attack, seen, x, goal, threat)
    theirs, also = lengths(attack, plain, x, goal, threat)
    left, right = float(mine.mean()), float(theirs.mean())
    return Trial(left, right, won == also == 1 and left <= 1.5 * right)


CLAIM = Claim(
    paper="cw-l2",
    methods=("attack:cw",),
    says="it fools a distilled net on every digit, with changes at most half as long again as "
    "those of a plain net",
    left="mean Euclidean length on the distilled net",
    right="mean Euclidean length on the plain net",
    trial=trial,
    seeds=(301, 302, 303),
    mutants=("prices-probabilities", "never-raises-the-price"),
    seconds=30,
    quick=False,
)
