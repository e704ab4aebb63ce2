"""Proper scores: known in closed form for every answer, and least for the true probabilities."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs.scores import brier, nll

CLASSES, ANSWERS = 4, 25
Score = Callable[[Tensor, Tensor], float]


def _brier(z: Tensor, y: Tensor) -> float:
    return brier(z, y).value


def _nll(z: Tensor, y: Tensor) -> float:
    return nll(z, y).value


def _label_only(z: Tensor, y: Tensor) -> float:
    """Bug: looks at the label's probability alone."""
    own = z.softmax(1).gather(1, y[:, None])
    return float((1 - own).square().mean())


def _confidence(z: Tensor, y: Tensor) -> float:
    """Bug: squares the gap between confidence and being right."""
    sure, answer = z.softmax(1).max(1)
    return float((sure - (answer == y).double()).square().mean())


def _bits(z: Tensor, y: Tensor) -> float:
    """Bug: counts in bits."""
    return nll(z, y).value / float(torch.log(torch.tensor(2.0)))


def _of_the_answer(z: Tensor, y: Tensor) -> float:
    """Bug: scores the answer instead of the label."""
    return nll(z, z.argmax(1)).value


def _logits(z: Tensor, y: Tensor) -> float:
    """Bug: takes logits for probabilities."""
    return float((z - F.one_hot(y, CLASSES)).square().sum(1).mean())


BRIERS: dict[str, Score] = {
    "label-only": _label_only, "gap-of-confidence": _confidence, "takes-logits": _logits,
}  # fmt: skip
NLLS: dict[str, Score] = {"in-bits": _bits, "of-the-answer": _of_the_answer}


def trial(seed: int, mutant: str = "") -> Trial:
    """Labels in exact proportions; answers at random, and the truth."""
    g = torch.Generator().manual_seed(seed)
    count = torch.randint(5, 60, (CLASSES,), generator=g)
    y = torch.arange(CLASSES).repeat_interleave(count)
    p = count.double() / count.sum()
    answers = torch.randn(ANSWERS, CLASSES, generator=g, dtype=torch.float64).softmax(1)
    off, ahead = 0.0, True

    def square(q: Tensor) -> Tensor:
        return (q - p).square().sum() + (p * (1 - p)).sum()

    def log(q: Tensor) -> Tensor:
        return -(p * q.log()).sum()

    for score, form in ((BRIERS.get(mutant, _brier), square), (NLLS.get(mutant, _nll), log)):
        best = score(p.log().expand(len(y), -1) + 3, y)  # logits are free up to a constant
        for q in answers:
            value = score(q.log().expand(len(y), -1), y)
            off = max(off, abs(value - float(form(q))))
            ahead &= best < value
    return Trial(off, 1e-12, ahead and off <= 1e-12)


CLAIM = Claim(
    paper="measure:brier",
    methods=("measure:brier", "measure:nll"),
    says="For 25 random answers both scores are their closed forms, and the true probabilities "
    "score less than any of them.",
    left="largest distance from |q - p|^2 + sum p (1 - p), or from the cross-entropy of q and p",
    right="1e-12, rounding",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=(*BRIERS, *NLLS),
    seconds=2,
)
