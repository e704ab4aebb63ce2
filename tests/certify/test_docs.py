"""The table of docs/certify.md against the catalogue and against what methods do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.cli.certified import NOISY
from holdfast.cli.certify import SHORT
from holdfast.core.catalog import entries, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.defend.smoothed import smoothed
from holdfast.threats.grammar import parse

PAGE = (Path(__file__).parents[2] / "docs" / "certify.md").read_text("utf-8")
CELLS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
ROWS = {re.findall(r"`([\w-]+)`", cells[0])[0]: cells for cells in CELLS}
NORMS = ("linf", "l2", "l1")


def test_every_certifier_stands_in_the_table_once() -> None:
    assert sorted(ROWS) == sorted(e.name for e in entries("certifier"))
    assert len(ROWS) == len(CELLS) and {len(c) for c in CELLS} == {5}
    for short, name in SHORT.items():
        assert f"(`{short}`)" in ROWS[name][0]


def test_numbers_in_the_text_are_the_defaults() -> None:
    votes = Smoothing()
    assert f"{votes.samples + votes.selection:,} noisy copies" in ROWS["smoothing"][4]
    assert f"({votes.alpha:g})" in PAGE and f"default {votes.samples:,}" in PAGE
    share = torch.tensor(votes.alpha ** (1 / votes.samples), dtype=torch.float64)
    assert f"{float(torch.special.ndtri(share)):.2f} sigma" in PAGE


@pytest.mark.parametrize("name", sorted(ROWS))
def test_threats_of_the_table_are_those_that_are_answered(name: str) -> None:
    listed = ROWS[name][2].split(", ")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    model = smoothed(net, sigma=0.2) if name in NOISY else net
    x = torch.rand(1, 1, 2, 2) if name == "spatial" else torch.rand(1, 4)
    if name == "spatial":
        model = nn.Sequential(nn.Flatten(), net)
    goal = Untargeted(net(x.flatten(1)).argmax(1).detach())
    answered = []
    for norm in NORMS:
        try:
            resolve(f"certifier:{name}")(
                model, x, goal, parse(f"{norm}:0.001"), dice=Dice.of(1, 0, "docs")
            )
        except Unsupported:
            continue
        answered.append(norm)
    assert answered == [n for n in listed if n in NORMS]
    assert answered or listed == ["Python"]
