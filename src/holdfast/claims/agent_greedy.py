"""Taking the largest output is the best action where outputs are the values of actions."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.rl.agents import Greedy

STATES, ACTIONS = 40, 5


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean value of the actions taken, on a table of values; the best is known by looking."""
    g = torch.Generator().manual_seed(seed)
    table = torch.randn(STATES, ACTIONS, generator=g, dtype=torch.float64)
    layer, views = nn.Linear(STATES, ACTIONS, bias=False).double(), torch.eye(STATES).double()
    with torch.no_grad():
        layer.weight.copy_(-table.T if mutant == "takes-the-least" else table.T)
    seen = views.roll(1, 0) if mutant == "sees-another-state" else views
    taken, _ = Greedy(model=layer).act(None, seen, Dice.of(STATES))
    value = float(table.gather(1, taken[:, None]).mean())
    best = float(table.amax(1).mean())
    return Trial(value, best, value >= best - 1e-12)


CLAIM = Claim(
    paper="agent:greedy",
    methods=("agent:greedy",),
    says="On a table of values the greedy agent takes an action of the largest value everywhere.",
    left="mean value of the actions taken",
    right="mean of the largest values",
    trial=trial,
    mutants=("takes-the-least", "sees-another-state"),
    seconds=1,
)
