"""One change per person that hides unseen images, also from other recognisers."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.universal import SGA
from holdfast.attacks.unrecognised import Unrecognised
from holdfast.claims.digits import drawn
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.measures.outputs.protection import protection_rate
from holdfast.run.loop import Training
from holdfast.threats.norms import LInf

RADIUS, PEOPLE, OWN, NEW = 0.2, 10, 20, 40
HIDDEN = 5  # people who wear a change; all ten are in the gallery


class Embedder(nn.Module):
    """16 features of length 1, taught by telling digits apart."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 16))
        self.head = nn.Linear(16, PEOPLE)

    def embed(self, x: Tensor) -> Tensor:
        """The features."""
        return F.normalize(self.body(x), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(8 * self.embed(x))
        return found


@cache
def scene(seed: int) -> tuple[list[Embedder], Tensor]:
    """Three recognisers, images `(people, own + new, 64)`, and the gallery they are sought in."""
    x, y = drawn(torch.Generator().manual_seed(seed))
    each = torch.stack([x[y == p][-(OWN + NEW) :] for p in range(PEOPLE)])
    learned = torch.cat([x[y == p][: -(OWN + NEW)] for p in range(PEOPLE)])
    labels = torch.cat([y[y == p][: -(OWN + NEW)] for p in range(PEOPLE)])
    made = []
    for number, width in enumerate((64, 96, 128)):
        with torch.random.fork_rng():
            torch.manual_seed(10 * seed + number)
            model = Embedder(width)
        Training(epochs=20, optimizer=Later("torch:Adam", lr=2e-3))(
            model, Batches(x=learned, y=labels, size=64)
        )
        made.append(model)
    return made, each


@cache
def _protected(seed: int, attack: SGA | None) -> float:
    """Mean share of new images that are not found, over people and recognisers."""
    models, images = scene(seed)
    own, new = images[:, :OWN], images[:, OWN:]
    owner = torch.arange(PEOPLE).repeat_interleave(OWN)
    with torch.no_grad():
        galleries = [m.embed(own.flatten(0, 1)) for m in models]
    found = []
    for person in range(HIDDEN):
        who = torch.full((OWN,), person)
        if attack is None:
            change = RADIUS * (2.0 * Dice.of(1, seed + person).integers(2, (64,)) - 1)
        else:
            goal = Unrecognised(galleries[0], owner, who)
            rows = Batches(x=own[person], y=who)
            threat = LInf(radius=RADIUS)
            change = attack.fit(models[0].embed, rows, goal, threat, dice=Dice.of(OWN, seed)).change
        for model, gallery in zip(models, galleries, strict=True):
            with torch.no_grad():
                f = model.embed((new[person] + change).clamp(0, 1))
            whose = torch.full((NEW,), person)
            found.append(protection_rate(f, whose, gallery=gallery, owners=owner).value)
    return sum(found) / len(found)


def trial(seed: int, mutant: str = "") -> Trial:
    """Look-ahead, signed small batches, whole batches and random signs."""
    made = SGA(epochs=16, batch=OWN, minibatch=4, inner=4)
    left = _protected(seed, SGA(epochs=1, stride=0.05) if mutant == "stops-early" else made)
    small = _protected(seed, SGA(epochs=64, batch=4, minibatch=4, inner=1))
    whole = _protected(seed, SGA(epochs=64, batch=OWN, minibatch=OWN, inner=1))
    random = _protected(seed, None)
    right = max(small, whole - 0.01)
    return Trial(left, right, left >= right and left >= random + 0.2)


CLAIM = Claim(
    paper="ga-privacy-cloak",
    methods=("attack:cloak", "measure:protection-rate"),
    says="From as many gradients the look-ahead hides at least as many unseen images as signed "
    "small batches and, within a point, whole batches, over three recognisers.",
    left="new images not found, with the look-ahead (l-inf 0.2)",
    right="new images not found, with the better baseline",
    trial=trial,
    mutants=("stops-early",),
    seconds=40,
    quick=False,
)
