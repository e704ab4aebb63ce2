"""With one label per class, chance decides as much as methods do."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.dice import Dice
from holdfast.measures.data.low_shot import low_shot, low_shot_rows
from holdfast.ops.ranking import rank_correlation

SHOTS, SUBSETS = (1, 2, 5, 10, 30, 60), 6


def _probe(x: Tensor, y: Tensor) -> Tensor:
    """Ridge regression on one-hot labels."""
    x, target = x.flatten(1).double(), F.one_hot(y, 10).double()
    gram = x.T @ x + torch.eye(64, dtype=torch.float64)
    line: Tensor = torch.linalg.solve(gram, x.T @ target)
    return line


def _pair(line: Tensor, tests: tuple[Tensor, ...], y: Tensor) -> list[float]:
    return [float(((t.flatten(1).double() @ line).argmax(1) == y).double().mean()) for t in tests]


def trial(seed: int, mutant: str = "") -> Trial:
    """Spread over subsets with one label per class, and with sixty."""
    train, test = digits(seed)
    x: Tensor = train.x  # type: ignore[assignment]
    shown: Tensor = test.x  # type: ignore[assignment]
    tests = (shown, shown.roll(1, -1))
    tables, spread, sound = {}, [], True
    for shots in SHOTS:
        found = []
        for subset in range(1 if mutant == "one-subset" else SUBSETS):
            dice = Dice.of(len(train), 100 * seed + subset)
            rows = low_shot_rows(train.y, shots=shots, dice=dice)
            more = low_shot_rows(train.y, shots=shots + 1, dice=dice)
            if mutant == "classes-forgotten":
                rows = torch.randperm(len(x), generator=dice.generator("any"))[: 10 * shots]
            balanced = bool((train.y[rows].bincount(minlength=10) == shots).all())
            sound &= balanced and set(rows.tolist()) <= set(more.tolist())
            moved = torch.cat([x[rows].roll(k, -1) for k in (-1, 0, 1)])
            lines = _probe(x[rows], train.y[rows]), _probe(moved, train.y[rows].repeat(3))
            found.append([_pair(line, tests, test.y) for line in lines])
        tables[f"{shots}"] = torch.tensor(found).double()
        spread.append(float(tables[f"{shots}"][:, 0, 0].std(unbiased=False)))
    standard = torch.cat([t[:, 0] for t in tables.values()])
    result = low_shot(tables, standard, full=str(SHOTS[-1]), rows=len(test))
    rising = torch.stack([t[:, 0, 0].mean() for t in tables.values()])
    order = float(rank_correlation(torch.tensor(SHOTS).double()[None], rising[None])[0])
    gain = [float(v.mean()) for v in result.relative.values()]
    noisy = spread[0] > 2 * spread[-1]
    return Trial(spread[0], spread[-1], sound and noisy and order > 0.9 and gain[-1] > 0)


CLAIM = Claim(
    paper="low-shot-robustness",
    methods=("measure:low-shot",),
    says="Over balanced nested subsets of digits, accuracy rises with the labels, and its spread "
    "with one label per class is more than twice that with sixty.",
    left="standard deviation of accuracy over subsets with one label per class",
    right="the same with sixty",
    trial=trial,
    mutants=("one-subset", "classes-forgotten"),
    seconds=4,
    why="linear probes on pixels; pretrained models and fine-tuning are not tried",
)
