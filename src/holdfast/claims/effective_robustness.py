"""Models of all sizes lie on one line of shifted against plain accuracy; augmentation leaves it."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.measures.outputs.accuracy_line import AccuracyLine
from holdfast.measures.outputs.line import effective_robustness

SIZES, WIDTHS = (60, 120, 240, 480, 898), (10, 20, 40, 80, 120, 200)


def _features(x: Tensor, width: int, g: torch.Generator) -> Tensor:
    return (x.flatten(1).double() @ torch.randn(64, width, generator=g).double() / 4).relu()


def _accuracy(train: Tensor, y: Tensor, tests: tuple[Tensor, ...], truth: Tensor) -> list[float]:
    """Ridge regression on one-hot labels."""
    target = torch.nn.functional.one_hot(y, 10).double()
    gram = train.T @ train + 0.1 * torch.eye(train.shape[1], dtype=torch.float64)
    line = torch.linalg.solve(gram, train.T @ target)
    return [float(((t @ line).argmax(1) == truth).double().mean()) for t in tests]


@cache
def _models(seed: int, mutant: str) -> Tensor:
    """`(m, 2)` plain and shifted accuracies: thirty standard models, then an augmented one."""
    train, test = digits(seed)
    known: Tensor = train.x  # type: ignore[assignment]
    plain: Tensor = test.x[:600]  # type: ignore[index,assignment]
    shifted = (plain + plain.roll(1, -1)) / 2  # moved by half a pixel, and so blurred
    found = []
    for width in WIDTHS:
        for size in SIZES:
            g = [torch.Generator().manual_seed(1000 * seed + width) for _ in range(3)]
            x = _features(known[:size], width, g[0])
            tests = _features(plain, width, g[1]), _features(shifted, width, g[2])
            found.append(_accuracy(x, train.y[:size], tests, test.y[:600]))
    turns = [0] if mutant == "no-augmentation" else [-1, 0, 1]
    moved = torch.cat([known.roll(k, -1) for k in turns])
    g = [torch.Generator().manual_seed(1000 * seed + 200) for _ in range(3)]
    tests = _features(plain, 200, g[1]), _features(shifted, 200, g[2])
    found.append(_accuracy(_features(moved, 200, g[0]), train.y.repeat(len(turns)), tests,
                           test.y[:600]))  # fmt: skip
    return torch.tensor(found).double()


def trial(seed: int, mutant: str = "") -> Trial:
    """Effective robustness of the augmented model, and the largest of standard ones."""
    pairs = _models(seed, mutant)
    standard = torch.arange(len(pairs)) < len(pairs) - 1
    if mutant == "difference-in-place-of-the-line":
        with patch.object(AccuracyLine, "predict", lambda line, a: a.double().reshape(len(a))):
            found = effective_robustness(pairs, standard=standard, rows=600)
    else:
        found = effective_robustness(pairs, standard=standard, rows=600)
    own, others = float(found.above[-1]), float(found.above[standard].max())
    exact = torch.linspace(0.2, 0.9, 8).double()
    line = torch.stack([exact, (0.7 * exact.logit() - 0.5).sigmoid()], 1)
    straight = float(effective_robustness(line).above.abs().max())
    return Trial(own, others, own > max(others, 0.0) and found.line.r2 > 0.8 and straight < 1e-6)


CLAIM = Claim(
    paper="effective-robustness",
    methods=("measure:effective-robustness",),
    says="Thirty models of all sizes lie on one line (R2 above 0.8) of accuracy on digits moved by "
    "half a pixel against plain accuracy; one trained on moved digits is above all of them.",
    left="effective robustness of the augmented model",
    right="the largest of a standard model, against the line of the others",
    trial=trial,
    mutants=("no-augmentation", "difference-in-place-of-the-line"),
    seconds=5,
)
