"""A bag of words does not notice a negation; one that counts pairs of words does."""

from __future__ import annotations

from unittest.mock import patch

import torch

from holdfast.claims.harness import Claim, Trial
from holdfast.core.catalog import find
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.records import Subject
from holdfast.measures.outputs.paired import unrobustness
from holdfast.shifts.text.edit import Edit
from holdfast.shifts.text.reword import EDITS, Reword
from holdfast.testing.worlds.reviews import Reader, reviews

TRAIN, TEST = 400, 300


def _u(model: Reader, batch: Batch, edit: str, flips: bool) -> float:
    """Unrobustness on the texts that the edit changes."""
    shift = Reword(edit=edit)
    out = shift(batch, 1.0, Dice(0, batch.index))
    rows = out.more["edited"].nonzero().flatten()
    a, b = batch.take(rows), out.take(rows)
    wanted = 1 - a.y if flips else None
    return unrobustness(model(list(a.x)), model(list(b.x)), a.y, wanted=wanted).unrobustness.value


def trial(seed: int, mutant: str = "") -> Trial:
    """Reviews with and without negation, read by three logistic regressions on counts."""
    train, batch = reviews(TRAIN, seed), reviews(TEST, seed + 1000).whole
    bag, pairs, letters = (Reader.fit(train, g) for g in ("words", "pairs", "letters"))
    flips = EDITS["negation"].effect == "flips" and mutant != "forgets-the-flip"
    table = dict(EDITS)
    if mutant == "only-a-comma":  # the edit adds a sign instead of an error of spelling
        table["spelling"] = Edit("spelling", "orthography", lambda t, d: t + ",")
    with patch.dict(EDITS, table):
        left, right = _u(bag, batch, "negation", flips), _u(pairs, batch, "negation", flips)
        spelt = _u(bag, batch, "spelling", False), _u(letters, batch, "spelling", False)
        case = [_u(m, batch, "capitalisation", False) for m in (bag, pairs, letters)]
    constant = torch.tensor([[1.0, 0.0]]).expand(TEST, 2)
    ends = [unrobustness(constant, constant, batch.y, wanted=w).unrobustness.value
            for w in (None, 1 - batch.y)]  # fmt: skip
    found = list(find("check:fluke").thing(Subject(model=bag, batches=reviews(60, seed))))
    named = {r["slice"] for r in found[0].figures[0].rows}
    held = spelt[0] > spelt[1] and case == [0, 0, 0] and ends == [0, 1] and "negation" in named
    return Trial(left, right, left > 0.6 and right < 0.2 and held)


CLAIM = Claim(
    paper="fluke",
    methods=("shift:text", "measure:unrobustness", "check:fluke"),
    says="A negation leaves more than 60 % of the answers of a bag of words as they were, and "
    "less than 20 % of those of a reader of word pairs; spelling turns more answers of words than "
    "of letters, and case none.",
    left="unrobustness of a bag of words under negation (share)",
    right="that of a reader of words and their pairs",
    trial=trial,
    mutants=("forgets-the-flip", "only-a-comma"),
    seconds=5,
)
