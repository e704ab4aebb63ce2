"""An effect size orders models by how rewording changes their answers, where a rate misleads."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.text import variants
from holdfast.measures.text.variants import drop_rate, variant_effect

QUESTIONS, WORDINGS, REPEATS, STEADY, SHAKY = 300, 5, 30, 0.1, 0.3


def _answers(flips: float, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Verdicts that are right on 70 % of the questions; each rewording flips some."""
    base = (torch.rand(QUESTIONS, generator=g) < 0.7).double()
    flip = torch.rand(QUESTIONS, WORDINGS, generator=g) < flips
    return base, torch.where(flip, 1 - base[:, None], base[:, None])


def _difference(before: Tensor, after: Tensor) -> Tensor:
    """Bug: shares are subtracted as they are."""
    return after.double() - before.double()


def trial(seed: int, mutant: str = "") -> Trial:
    """Instability of a steady model, and of a shaky one, in thirty simulations."""
    g = torch.Generator().manual_seed(seed)
    wrong = _difference if mutant == "plain-difference" else variants.cohens_h
    with patch.object(variants, "cohens_h", wrong):
        found = []
        for _ in range(REPEATS):
            effects = [variant_effect(*_answers(f, g)).effect for f in (STEADY, SHAKY)]
            found.append([float(e.mean() if mutant == "keeps-the-sign" else e.abs().mean())
                          for e in effects])  # fmt: skip
        low, even = variants.cohens_h(torch.tensor([0.02, 0.5]), torch.tensor([0.04, 0.52]))
    ordered = all(a < b for a, b in found)
    misleads = drop_rate(0.0, 0.1) != drop_rate(0.0, 0.1)  # it is no number
    mean = torch.tensor(found).double().mean(0).tolist()
    return Trial(mean[0], mean[1], ordered and misleads and bool(low > 1.5 * even))


CLAIM = Claim(
    paper="llm-robustness-cohens-h",
    methods=("measure:variant-effect",),
    says="A model that flips a tenth of its answers when questions are reworded has a smaller mean "
    "effect size than one that flips three tenths, in all of 30 simulations; two points more are a "
    "larger effect near zero than at one half.",
    left="mean |h| of the steady model",
    right="mean |h| of the shaky one",
    trial=trial,
    mutants=("plain-difference", "keeps-the-sign"),
    seconds=2,
)
