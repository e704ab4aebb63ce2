"""The index rises with what embeddings show and falls with where they come from."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.data.confounding import Confounding, centred, robustness_index

CLASSES, CENTRES, EACH, SIZE, NEAR = 4, 4, 25, 32, 20


def _embedding(show: float, place: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Balanced classes over centres, each with a direction of its own, and noise."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(CLASSES * CENTRES * EACH) % CLASSES
    centre = torch.arange(len(y)) // CLASSES % CENTRES
    # Orthogonal directions of one length: the same geometry for both roles.
    basis = torch.linalg.qr(torch.randn(SIZE, 8, generator=g, dtype=torch.float64))[0].T * 2
    noise = torch.randn(len(y), SIZE, generator=g, dtype=torch.float64)
    return show * basis[y] + place * basis[CLASSES + centre] + noise, y, centre


def _asked(z: Tensor, y: Tensor, centre: Tensor, mutant: str, seed: int) -> Confounding:
    if mutant == "roles-swapped":
        y, centre = centre, y
    if mutant == "centres-shuffled":
        centre = centre[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]
    return robustness_index(z, y, centre, k=NEAR)


def trial(seed: int, mutant: str = "") -> Trial:
    """The index where the class is stronger, and where the centre is."""
    pairs = ((2.0, 1.0), (1.5, 1.5), (1.0, 2.0))
    found = []
    for show, place in pairs:
        found.append(_asked(*_embedding(show, place, seed), mutant, seed))
    strong, even, weak = (f.index() for f in found)
    ordered = strong > even > weak and found[0].ratio() > 1 > found[2].ratio()
    z, y, centre = _embedding(1.5, 1.5, seed)
    swapped = robustness_index(z, centre, y, k=NEAR)
    own = robustness_index(z, y, centre, k=NEAR)
    mirror = abs(own.index() + swapped.index() - 1) + abs(own.ratio() * swapped.ratio() - 1)
    mended = robustness_index(centred(z, centre), y, centre, k=NEAR).index()
    holds = ordered and abs(even - 0.5) < 0.07 and mirror < 1e-9 and mended > 0.85
    return Trial(strong, weak, holds)


CLAIM = Claim(
    paper="pathology-robustness-index",
    methods=("measure:robustness-index",),
    says="Of neighbours that share the class or the centre alone, more share the stronger of the "
    "two, half each if both are alike; taking off the means of the centres brings the share of "
    "the class above 0.85.",
    left="index where the class is twice as strong",
    right="index where the centre is",
    trial=trial,
    seeds=(0, 1, 2, 3, 4),
    mutants=("roles-swapped", "centres-shuffled"),
    seconds=2,
)
