"""A gate that learned artefacts from good scans of one scanner finds them in those of another."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.kinds import Score
from holdfast.detect.artefact import ArtefactGate, spoiled
from holdfast.ops.ranking import auroc
from holdfast.shifts.mri import Artefact
from holdfast.testing.worlds.phantoms import phantoms, scanned

SHAPE, TRAIN, TEST = (6, 16, 16), 160, 80
KINDS: tuple[Artefact, ...] = (
    "ghosting", "herringbone", "gibbs", "dropout", "interleaving", "motion",
)  # fmt: skip


def _volumes(count: int, seed: int, other: bool) -> Batches:
    """Good scans of one of two scanners, which differ in gain, sharpness and noise."""
    dice = Dice.of(count, seed, "other" if other else "own")
    gain, blur, noise = (0.25, 0.35, 0.003) if other else (0.95, 0.3, 0.01)
    x = scanned(phantoms(count, dice, SHAPE), gain, blur, noise, dice.spawn("scan"))
    return Batches(x=x, y=torch.zeros(count).long(), size=40)


@cache
def _gate(seed: int, normalise: bool, learned: int) -> Score:
    gate = ArtefactGate(
        epochs=9, growth=4, blocks=(2, 2), kinds=KINDS[:learned], normalise=normalise, seed=seed
    )
    return gate.fit(nn.Identity(), _volumes(TRAIN, seed, False))


def _found(score: Score, clean: Tensor, bad: Batches) -> tuple[float, float, float]:
    """AUROC over all artefacts, over the mild and over the strong ones."""
    low, high = score(clean), score(bad.x)
    level = bad.more["level"]
    strong = high[level >= 4]
    return auroc(low, high), auroc(low, high[level <= 2]), auroc(low, strong)


def trial(seed: int, mutant: str = "") -> Trial:
    """How well artefacts are told on another scanner, with and without normalisation."""
    clean = _volumes(TEST, seed + 50, True)
    bad = spoiled(clean, KINDS, Dice.of(TEST, seed + 50))
    x: Tensor = clean.x  # type: ignore[assignment]
    raw = mutant == "no-normalisation"
    own = _found(_gate(seed, not raw, 1 if mutant == "one-artefact" else 6), x, bad)
    other = _found(_gate(seed, False, 6), x, bad)
    return Trial(own[0], other[0], own[0] > 0.8 and own[2] >= own[1] and own[0] > other[0])


CLAIM = Claim(
    paper="qcnet-3d",
    methods=("shift:mri-artifact",),
    says="Trained on good scans of one scanner, the gate tells artefacts on another with an AUROC "
    "above 0.8, strong ones better than mild ones, and better than without normalisation.",
    left="AUROC of spoiled against good volumes of the other scanner",
    right="the same without normalising volumes",
    trial=trial,
    mutants=("no-normalisation", "one-artefact"),
    seconds=10,
)
