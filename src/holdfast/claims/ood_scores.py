"""Scores read off a trained net tell foreign inputs from familiar ones without training again.

That every score finds every kind of foreign input is not claimed, and is not so: on a net trained
to the end, noise can get larger logits than digits, and then energy ranks it the wrong way round.
"""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.catalog import find
from holdfast.measures.outputs.separation import separation

DETECTORS = tuple(
    f"detector:{name}"
    for name in ("max-softmax", "max-logit", "energy", "generalized-entropy", "kl-matching", "odin",
                 "react", "ash", "dice", "knn", "mahalanobis", "vim")
)  # fmt: skip
DISTANCES = ("detector:knn", "detector:mahalanobis", "detector:vim")
SEEN = 8


def _auroc(known: Tensor, strange: Tensor) -> float:
    return separation(known, strange).auroc


def trial(seed: int, mutant: str = "") -> Trial:
    """Smallest AUROC on classes never seen; and on noise, distances against confidence."""
    model, (train, test) = trained(seed, classes=SEEN), digits(seed)
    train, known, unseen = (
        train.take(train.y < SEEN), test.take(test.y < SEEN).x, test.take(test.y >= SEEN).x
    )  # fmt: skip
    g = torch.Generator().manual_seed(seed)
    noise = torch.rand(300, 1, 8, 8, generator=g)
    sign = -1 if mutant == "larger-means-trust" else 1
    near, far = {}, {}
    for name in DETECTORS:
        # A detector that learns from the very rows it shall find strange finds them familiar.
        fitted = test if mutant == "learns-from-strangers" else train
        score = find(name).thing().fit(model, fitted)
        with torch.no_grad():
            own = sign * score(known)
            near[name], far[name] = (
                _auroc(own, sign * score(unseen)),
                _auroc(own, sign * score(noise)),
            )
    ordered = min(far[name] for name in DISTANCES) >= far["detector:max-softmax"]
    worst = min(near.values())
    return Trial(worst, 0.75, worst > 0.75 and ordered)


CLAIM = Claim(
    paper="ood-scores",
    methods=(*DETECTORS, "measure:separation"),
    says="Every detector ranks unseen digits above seen ones in three of four pairs, and on noise "
    "distances between features do at least as well as confidence.",
    left="smallest AUROC of twelve detectors, two unseen digits against eight seen ones",
    right="0.75",
    trial=trial,
    mutants=("larger-means-trust", "learns-from-strangers"),
    seconds=5,
)
