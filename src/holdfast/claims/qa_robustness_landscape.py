"""One line explains the models, except those that were planted above it."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs import landscape as room
from holdfast.measures.text import answers
from holdfast.measures.text.answers import answer_overlap
from holdfast.testing.worlds import draws

MODELS, ABOVE, SHIFT = 60, 10, 0.08
KINDS = ("encoder", "decoder", "adapter", "prefix", "intervention")


def _world(seed: int) -> tuple[dict[str, Tensor], list[str]]:
    """Models on a line of log odds with noise, ten of them shifted up."""
    g = draws(seed)
    own = 0.45 + 0.45 * torch.rand(MODELS, generator=g, dtype=torch.float64)
    foreign = (0.8 * own.logit() - 0.6).sigmoid()
    noise = 0.01 * torch.randn(2, MODELS, generator=g, dtype=torch.float64)
    tags = ["zero-shot"] * ABOVE + [KINDS[i % len(KINDS)] for i in range(MODELS - ABOVE)]
    foreign[:ABOVE] += SHIFT
    return {"own": own, "a": foreign + noise[0], "b": foreign - noise[0] + 2 * noise[1]}, tags


def trial(seed: int, mutant: str = "") -> Trial:
    """Effective robustness by tag, with the true tags and with shuffled ones."""
    table, tags = _world(seed)
    fit = () if mutant == "fits-on-all" else KINDS
    found = room.landscape(table, tags, fit=fit)
    order = torch.randperm(MODELS, generator=draws(seed + 9)).tolist()
    mixed = room.landscape(table, [tags[i] for i in order])
    left = float(found.of("zero-shot").mean())
    rest = max(abs(float(found.of(k).mean())) for k in KINDS)
    plain = room.landscape({k: c[ABOVE:] for k, c in table.items()}, tags[ABOVE:])
    held = rest < 0.015 and plain.r2 > 0.95 and plain.own_score_alone
    held &= not found.own_score_alone and mixed.own_score_alone
    kept = (lambda t: t.lower()) if mutant == "keeps-articles" else answers.normalised
    with patch.object(answers, "normalised", kept):
        said = answer_overlap(["The cat", "big cat", "", "dog"], [["cat"], ["cat"], [""], ["cat"]])
    held &= abs(said[0].value - (1 + 2 / 3 + 1 + 0) / 4) < 1e-9 and said[1].value == 0.5
    return Trial(left, SHIFT, abs(left - SHIFT) < 0.02 and held)


CLAIM = Claim(
    paper="qa-robustness-landscape",
    methods=("measure:landscape", "measure:answer-overlap"),
    says="Of sixty models on a line of log odds, ten of them 0.08 above it, the landscape finds "
    "these within 0.02 and no other kind by more than 0.015; without them, or with shuffled "
    "kinds, the own score explains all.",
    left="mean effective robustness of the ten",
    right="what was added to them",
    trial=trial,
    mutants=("fits-on-all", "keeps-articles"),
    seconds=2,
)
